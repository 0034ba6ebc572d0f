// What stands in place of a sample when there is none.

import { make, svg } from "./element.js";

function note(kind, title, text, ...more) {
  const element = make("div", "note", ...more.filter((each) => each.tagName === "svg"), make("h2", "", title), make("p", "", text),
    ...more.filter((each) => each.tagName !== "svg"));
  element.dataset.kind = kind;
  element.dataset.say = `${title}. ${text}`;
  return element;
}

export function button(text, act, kind = "primary") {
  const element = make("button", kind, text);
  element.type = "button";
  element.addEventListener("click", act);
  return element;
}

const icon = (d) => svg("svg", { class: "big", viewBox: "0 0 24 24", "aria-hidden": "true" }, svg("path", { d }));

export function loading() {
  const element = make("div", "note", make("div", "busy"));
  element.dataset.kind = "loading";
  return element;
}

export const allDone = () =>
  note("done", "All done for now", "Nothing waits for an answer. New questions appear here by themselves.", icon("m5 12.500 4.500 4.500L19 7.500"));

export const unreachable = () =>
  note("gone", "Waiting for the device", "It does not answer just now. Everything you have answered is kept; this page goes on by itself.", make("div", "busy"));

export function signedOut() {
  const link = make("a", "primary", "Sign in again");
  link.href = "/";
  return note("out", "You are signed out", "Your answers are kept in this browser and sent when you are back.", link);
}

export const elsewhere = (take) =>
  note("elsewhere", "Open in another tab", "You label in another tab of this browser. One at a time keeps answers apart.", button("Use this tab", take));

export function broken(again, skip) {
  return note("broken", "This sample cannot be shown", "It may have been moved, or cannot be read just now.",
    make("div", "row", button("Try again", again), button("Skip it", skip, "second")));
}
