// What the page says in words: to a screen reader, in a toast, and in the banner.

const TOAST_MS = 2200;
const $ = (id) => document.getElementById(id);
let toasting;

// For a screen reader; with a toast, for everybody.
export function say(text, quiet = true) {
  $("announcement").textContent = text;
  if (quiet) return;
  const toast = $("toast");
  toast.textContent = text;
  toast.classList.add("on");
  clearTimeout(toasting);
  toasting = setTimeout(() => toast.classList.remove("on"), TOAST_MS);
}

// waiting: answers that are not sent yet. isSafe: whether the browser keeps them.
export function banner(waiting, { isOut, isGone, isSafe }) {
  const held = waiting === 1 ? "1 answer is" : `${waiting} answers are`;
  let text = "";
  if (isOut && waiting) text = `You are signed out. ${held} kept here, and sent when you sign in again.`;
  else if (isGone && waiting) text = `The device does not answer just now. ${held} kept in this browser and sent when it is back.`;
  else if (isGone) text = "The device does not answer just now. Go on: your answers are kept in this browser.";
  if (text && !isSafe) text += " Leave this tab open: this browser keeps nothing.";
  $("banner").hidden = !text;
  if ($("banner").textContent !== text) $("banner").textContent = text;
  document.body.dataset.waiting = waiting;
}
