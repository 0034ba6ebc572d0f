// What the page says in words: to a screen reader, in a toast, and in the banner.

import { make } from "./element.js";
import { n, t } from "./words.js";

const TOAST_MS = 2200;
const $ = (id) => document.getElementById(id);
let toasting;

// For a screen reader, one sentence or several; with a toast, for everybody.
export function say(said, quiet = true) {
  const sentences = [said].flat();
  $("announcement").replaceChildren(...sentences.map((each) => make("p", "", each)));
  if (quiet) return;
  const toast = $("toast");
  toast.replaceChildren(...sentences.map((each) => make("p", "", each)));
  toast.classList.add("on");
  clearTimeout(toasting);
  toasting = setTimeout(() => toast.classList.remove("on"), TOAST_MS);
}

const TROUBLES = {
  away: () => t("The device does not answer just now."),
  full: () => t("The disk of the device is full: it can keep no answers. Tell whoever runs it to make room."),
  failed: () => t("The device has a problem, and can keep no answers just now. Tell whoever runs it."),
};

// What is wrong with the device, and what becomes of answers.
export const troubled = (trouble, isSafe) => [TROUBLES[trouble](), isSafe
  ? t("Go on: your answers are kept in this browser, and sent when the device can keep them.")
  : t("Go on, but leave this tab open: your answers are kept in it alone, until the device can keep them.")];

// waiting: answers that are not sent yet. trouble: of api.js. isSafe: whether the browser keeps them.
export function banner(waiting, { isOut, trouble, isSafe }) {
  let said = [];
  if (isOut && waiting) {
    said = [t("You are signed out."), n("{count} answer is kept in this browser, and sent when you sign in again.",
      "{count} answers are kept in this browser, and sent when you sign in again.", waiting)];
    if (!isSafe) said.push(t("Leave this tab open: this browser keeps nothing."));
  } else if (!isOut && trouble) {
    said = troubled(trouble, isSafe);
    if (waiting) said.push(n("{count} answer waits here.", "{count} answers wait here.", waiting));
  }
  $("banner").hidden = !said.length;
  const before = [...$("banner").children].map((each) => each.textContent);
  if (before.join("\n") !== said.join("\n")) $("banner").replaceChildren(...said.map((each) => make("span", "", each)));
  document.body.dataset.waiting = waiting;
}
