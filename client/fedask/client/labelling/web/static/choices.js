// The classes to choose from: all of them if they are few, else a list that a search narrows down.

import { make } from "./element.js";
import { list, n, t } from "./words.js";

const FEW = 10;
const MOST_SHOWN = 100;

const plain = (text) =>
  text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase().replace(/[\s_./-]+/g, " ").trim();

// The name of a class as people read it.
export const readable = (name) => name.replaceAll("_", " ");

export function named(name) {
  const element = make("bdi", "", readable(name));
  element.dir = "auto";
  return element;
}

export class Choices {
  // choose(label): somebody chose. say(text): for whoever listens.
  constructor(classes, choose, say) {
    this.classes = classes;
    this.plain = classes.map(plain);
    this.choose = choose;
    this.say = say;
    this.list = document.getElementById("classes");
    this.input = document.getElementById("search");
    this.more = document.getElementById("more");
    this.many = classes.length > FEW;
    this.guessed = null;
    this.guesser = ""; // what stands beside it: whose guess that is
    this.pick = 0;
    document.getElementById("find").hidden = !this.many;
    document.getElementById("help-find").hidden = !this.many;
    this.input.addEventListener("input", () => this.narrow());
    this.input.addEventListener("keydown", (event) => this.typed(event));
    this.draw();
  }

  // Digits name classes that are digits; else they count from the top.
  keyOf(label, at) {
    if (!this.many && this.classes.every((name) => /^\d$/.test(name))) return this.classes[label];
    if (at < 9) return String(at + 1);
    return at === 9 && !this.many ? "0" : "";
  }

  // Names that begin with what was typed, then those in which a word does, then any others with it.
  found() {
    const wanted = plain(this.input.value);
    const labels = this.plain.map((_, label) => label);
    if (!this.many || !wanted) return labels;
    const rank = (name) => (name.startsWith(wanted) ? 0 : name.includes(` ${wanted}`) ? 1 : 2);
    const every = wanted.split(" ");
    return labels
      .filter((label) => every.every((word) => this.plain[label].includes(word)))
      .sort((a, b) => rank(this.plain[a]) - rank(this.plain[b]) || a - b);
  }

  draw() {
    const found = this.found();
    this.shown = found.slice(0, MOST_SHOWN);
    if (this.guessed !== null && !this.shown.includes(this.guessed)) this.shown.unshift(this.guessed);
    this.keys = new Map();
    this.buttons = this.shown.map((label, at) => this.button(label, at));
    this.list.replaceChildren(...this.buttons);
    this.list.scrollTop = 0;
    const left = found.length - this.shown.length;
    this.more.hidden = left <= 0 && found.length > 0;
    this.more.textContent = found.length ? n("{count} more: type to find it", "{count} more: type to find them", left) : t("No class has this in its name");
    this.mark();
    return found.length;
  }

  button(label, at) {
    const key = this.keyOf(label, at);
    const button = make("button", "", named(this.classes[label]));
    button.type = "button";
    button.dataset.label = label;
    if (label === this.guessed) {
      button.classList.add("guess");
      button.append(make("em", "", this.guesser));
    }
    if (key) {
      this.keys.set(key, label);
      const cap = make("kbd", "", key);
      cap.setAttribute("aria-hidden", "true");
      button.append(cap);
      button.setAttribute("aria-keyshortcuts", key);
    }
    button.addEventListener("click", () => this.choose(label));
    return button;
  }

  mark() {
    const searching = document.activeElement === this.input && this.input.value;
    this.buttons.forEach((button, at) => button.classList.toggle("pick", Boolean(searching) && at === this.pick));
    if (searching && this.buttons[this.pick]) this.buttons[this.pick].scrollIntoView({ block: "nearest" });
  }

  narrow() {
    this.pick = 0;
    const count = this.draw();
    const said = n("{count} class", "{count} classes", count);
    this.say(count ? list([said, t("Enter chooses {name}", { name: readable(this.classes[this.shown[0]]) })]) : said);
  }

  typed(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) {
      this.pick = Math.max(0, Math.min(this.buttons.length - 1, this.pick + step));
      this.mark();
      if (this.buttons[this.pick]) this.say(readable(this.classes[this.shown[this.pick]]));
    } else if (event.key === "Enter" && !event.isComposing) {
      if (this.input.value && this.buttons[this.pick]) this.choose(this.shown[this.pick]);
    } else if (event.key === "Escape") {
      this.clear();
    } else {
      return;
    }
    event.preventDefault();
  }

  find() {
    if (this.many) this.input.focus();
  }

  guess(label, guesser) {
    this.guessed = label;
    this.guesser = guesser;
    this.draw();
  }

  flash(label) {
    const button = this.buttons.find((each) => Number(each.dataset.label) === label);
    if (!button) return;
    button.classList.add("chosen");
    setTimeout(() => button.classList.remove("chosen"), 160);
  }

  // For the next sample. Drawn anew only if something was narrowed: whoever tabs keeps their place.
  clear() {
    const narrowed = this.input.value || this.guessed !== null;
    this.input.value = "";
    this.guessed = null;
    this.pick = 0;
    if (document.activeElement === this.input) this.input.blur();
    if (narrowed) this.draw();
  }
}
