// After an answer: the same for its look-alikes?

import { readable } from "./choices.js";
import { loadCard } from "./deck.js";
import { make } from "./element.js";
import { show, unload } from "./media.js";
import { button } from "./notes.js";
import { n, number, t } from "./words.js";

const MOST = 12;

export class Offer {
  // share(entry, uids): yes, for these. closed(): go on with the next sample.
  constructor(classes, share, closed) {
    this.classes = classes;
    this.share = share;
    this.closed = closed;
    this.cards = [];
    this.isOpen = false;
  }

  // Load the look-alikes of a sample while it is looked at.
  prepare(card, isAnswered) {
    this.forget();
    this.isAnswered = isAnswered;
    this.cards = card.near.filter((uid) => !isAnswered(uid)).slice(0, MOST)
      .map((uid) => ({ uid, state: "new", parts: [] }));
    for (const each of this.cards) loadCard(each, () => {});
  }

  // Return whether there is anything to offer. What has not loaded by now is asked by itself.
  open(card, entry) {
    this.cards = this.cards.filter((each) => each.state === "ready" && !this.isAnswered(each.uid));
    if (!this.cards.length) return false;
    this.isOpen = true;
    this.entry = entry;
    const name = readable(this.classes[entry.annotation]);
    const count = this.cards.length;
    const title = n("Is this one “{name}” too?", "Are these {count} “{name}” too?", count, { name });
    this.spoken = [title, t("They look almost the same. y for yes, n for no.")];
    this.boxes = this.cards.map((each, at) => this.box(each, at));
    this.accept = button("", () => this.yes());
    const rest = button("", () => this.no(), "second");
    rest.append(t("No, ask me"), key("n"));
    const list = make("ul", "alike", ...this.boxes.map(({ item }) => item));
    const element = make("section", "offer", make("h2", "", title),
      make("p", "faint", t("They look almost the same. Untick those that are not.")), list, make("div", "row", this.accept, rest));
    this.tell();
    const stage = document.getElementById("stage");
    delete stage.dataset.uid;
    stage.replaceChildren(document.getElementById("stage-title"), element);
    stage.dataset.offer = String(count);
    return true;
  }

  box(card, at) {
    const input = make("input");
    input.type = "checkbox";
    input.checked = true;
    input.setAttribute("aria-label", t("Look-alike {number}", { number: number(at + 1) }));
    input.addEventListener("change", () => this.tell());
    return { uid: card.uid, input, item: make("li", "", make("label", "", input, show(card.parts).view)) };
  }

  tell() {
    const count = this.chosen().length;
    this.accept.replaceChildren(agreed(count, this.boxes.length), key("y"));
  }

  chosen() {
    return this.boxes.filter(({ input }) => input.checked).map(({ uid }) => uid);
  }

  yes() {
    if (!this.isOpen) return;
    const also = this.chosen();
    if (also.length) this.share(this.entry, also);
    this.close();
    this.closed();
  }

  no() {
    if (!this.isOpen) return;
    this.close();
    this.closed();
  }

  close() {
    this.isOpen = false;
    delete document.getElementById("stage").dataset.offer;
    this.forget();
  }

  forget() {
    for (const card of this.cards) card.parts.forEach(unload);
    this.cards = [];
  }
}

function agreed(count, all) {
  if (!count) return t("None of them");
  if (count === 1) return t("Yes");
  return count === all ? n("Yes, all {count}", "Yes, all {count}", count) : n("Yes, these {count}", "Yes, these {count}", count);
}

function key(name) {
  const cap = make("kbd", "", name);
  cap.setAttribute("aria-hidden", "true");
  const space = make("span", "", " ", cap);
  return space;
}
