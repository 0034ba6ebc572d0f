// What stands in place of a sample when there is none.

import { make, svg } from "./element.js";
import { t } from "./words.js";

function note(kind, title, text, ...more) {
  const element = make("div", "note", ...more.filter((each) => each.tagName === "svg"), make("h2", "", title), make("p", "", text),
    ...more.filter((each) => each.tagName !== "svg"));
  element.dataset.kind = kind;
  element.said = [title, text];
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
  note("done", t("All done for now"), t("Nothing waits for an answer. New questions appear here by themselves."), icon("m5 12.500 4.500 4.500L19 7.500"));

// While the device cannot be asked; trouble: of api.js.
export function waiting(trouble) {
  const on = t("Everything you have answered is kept; this page goes on by itself.");
  if (trouble === "full") {
    return note(trouble, t("The disk of the device is full"), t("It can hand out no samples until whoever runs it has made room."), make("p", "", on), make("div", "busy"));
  }
  if (trouble === "failed") {
    return note(trouble, t("The device has a problem"), t("Tell whoever runs it: its log says which."), make("p", "", on), make("div", "busy"));
  }
  return note(trouble, t("Waiting for the device"), t("It does not answer just now."), make("p", "", on), make("div", "busy"));
}

export function signedOut() {
  const link = make("a", "primary", t("Sign in again"));
  link.href = "/";
  return note("out", t("You are signed out"), t("Your answers are kept in this browser and sent when you are back."), link);
}

export const elsewhere = (take) =>
  note("elsewhere", t("Open in another tab"), t("You label in another tab of this browser. One at a time keeps answers apart."), button(t("Use this tab"), take));

export function broken(again, skip) {
  return note("broken", t("This sample cannot be shown"), t("It may have been moved, or cannot be read just now."),
    make("div", "row", button(t("Try again"), again), button(t("Skip it"), skip, "second")));
}
