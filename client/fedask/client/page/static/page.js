// The labelling page: what is on the screen, and what keys and buttons do.

import { Gone, Refused, SignedOut, get, newKey, post, start } from "./api.js";
import { Choices } from "./choices.js";
import { Deck } from "./deck.js";
import { Offer } from "./offer.js";
import { Outbox } from "./outbox.js";
import { make, show, spoken } from "./media.js";
import { beOnly } from "./only.js";
import { Progress } from "./progress.js";
import { allDone, broken, elsewhere, loading, signedOut, unreachable } from "./notes.js";

const STEADY_MS = 140; // a second click of a double one, or a key held down, is no answer
const RENEW_MS = 240000; // leases last minutes: while somebody looks, they go on
const ASK_AGAIN_MS = 10000;
const AWAY_MS = 600000; // nobody touches anything: the page asks for nothing more by itself
const SETTINGS = "fedask.keys";
const $ = (id) => document.getElementById(id);

class Page {
  constructor(told) {
    this.told = told;
    this.active = false;
    this.touchedAt = performance.now();
    this.on = null; // the card on the screen
    this.shownAt = 0;
    this.acts = {};
    this.given = []; // answers of this tab, newest last: what undo takes back
    this.isGone = false;
    this.isOut = false;
    this.undoing = false;
    this.outbox = new Outbox(told.annotator, {
      sent: (entry, receipt) => this.sent(entry, receipt),
      refused: (entry) => this.refused(entry),
      gone: (isGone) => this.setGone(isGone),
      signedOut: () => this.setOut(),
      changed: () => this.banner(),
    });
    this.deck = new Deck(told.ahead, (uid) => this.outbox.has(uid), () => this.render());
    this.choices = new Choices(told.classes, (label) => this.answer(label), (text) => this.say(text));
    this.offer = new Offer(told.classes, (entry, also) => this.share(entry, also), () => this.render());
    this.progress = new Progress(told.classes);
    this.wire();
    this.tab = beOnly(`fedask.${told.annotator}`, { active: () => this.wakeUp(), passive: () => this.rest() });
  }

  // --- who is in charge -------------------------------------------------------------------------

  wakeUp() {
    this.active = true;
    this.outbox.open();
    this.progress.fetch();
    this.render();
    this.refill();
  }

  rest() {
    this.active = false;
    this.outbox.close();
    this.deck.clear();
    this.offer.close();
    this.on = null;
    this.canAnswer(false);
    this.stage(elsewhere(() => this.tab.take()));
  }

  setGone(isGone) {
    if (this.isGone === isGone) return;
    this.isGone = isGone;
    this.banner();
    this.render();
    this.say(isGone ? "The device does not answer. Go on: answers are kept here." : "Connected again.");
    if (isGone) {
      this.lookAgain();
      return;
    }
    this.outbox.hurry();
    this.refill();
  }

  // While the device is gone and nothing waits to be sent, nothing else would notice its return.
  lookAgain() {
    clearTimeout(this.looking);
    this.looking = setTimeout(() => {
      if (!this.active || !this.isGone) return;
      this.refill().then(() => this.isGone && this.lookAgain());
    }, 1500);
  }

  setOut() {
    this.isOut = true;
    this.banner();
    this.render();
  }

  // Whatever asks the device goes through here: what went wrong is shown once, in one way.
  async ask(work) {
    try {
      const done = await work();
      this.setGone(false);
      return done;
    } catch (err) {
      if (err instanceof SignedOut) this.setOut();
      else if (err instanceof Gone) this.setGone(true);
      else if (!(err instanceof Refused)) throw err;
      return undefined;
    }
  }

  refill() {
    if (!this.active || this.isOut) return Promise.resolve();
    return this.ask(() => this.deck.fill());
  }

  // --- what is on the screen --------------------------------------------------------------------

  render() {
    if (!this.active || this.offer.isOpen) return;
    const card = this.deck.first;
    this.canAnswer(false);
    if (this.isOut) return this.stage(signedOut());
    if (!card) {
      if (!this.deck.filled) return this.stage(this.isGone ? unreachable() : loading());
      return this.stage(this.isGone ? unreachable() : allDone());
    }
    if (card.state === "broken") {
      $("stage").dataset.uid = card.uid;
      this.on = card;
      $("answers").classList.remove("off");
      return this.stage(broken(() => this.again(card), () => this.answer("skip")), "broken");
    }
    if (card.state !== "ready") return this.stage(this.isGone ? unreachable() : loading());
    if (this.on !== card) this.present(card);
    this.canAnswer(true);
  }

  present(card) {
    const { view, acts } = show(card.parts);
    if (this.acts.stop) this.acts.stop();
    this.on = card;
    this.acts = acts;
    this.stageIs = "sample";
    $("stage").replaceChildren($("stage-title"), view);
    $("stage").dataset.uid = card.uid;
    this.choices.clear();
    this.shownAt = performance.now();
    this.offer.prepare(card, (uid) => this.outbox.has(uid) || this.deck.settled.has(uid));
    this.say(`Next sample. ${spoken(card.parts)}`, true);
  }

  // Something else than a sample; drawn once, so that a focus on its buttons stays.
  stage(note, kind = note.dataset.kind) {
    if (kind !== "broken") delete $("stage").dataset.uid;
    if (this.stageIs === kind && kind !== "broken") return;
    if (this.acts.stop) this.acts.stop();
    this.acts = {};
    if (kind !== "broken") this.on = null;
    this.stageIs = kind;
    $("stage").replaceChildren($("stage-title"), note);
    if (note.dataset.say) this.say(note.dataset.say, true);
  }

  canAnswer(can) {
    $("answers").classList.toggle("off", !can);
    $("answers").dataset.ready = String(can);
  }

  banner() {
    const waiting = this.outbox.size;
    const held = waiting === 1 ? "1 answer is" : `${waiting} answers are`;
    let text = "";
    if (this.isOut && waiting) text = `You are signed out. ${held} kept here, and sent when you sign in again.`;
    else if (this.isGone && waiting) text = `The device does not answer just now. ${held} kept in this browser and sent when it is back.`;
    else if (this.isGone) text = "The device does not answer just now. Go on: your answers are kept in this browser.";
    if (text && !this.outbox.safe) text += " Leave this tab open: this browser keeps nothing.";
    $("banner").hidden = !text;
    if ($("banner").textContent !== text) $("banner").textContent = text;
    document.body.dataset.waiting = waiting;
  }

  // For a screen reader; with a toast, for everybody.
  say(text, quiet = true) {
    $("said").textContent = text;
    if (quiet) return;
    const toast = $("toast");
    toast.textContent = text;
    toast.classList.add("on");
    clearTimeout(this.toasting);
    this.toasting = setTimeout(() => toast.classList.remove("on"), 2200);
  }

  // --- answers ----------------------------------------------------------------------------------

  answer(verdict) {
    const card = this.deck.first;
    const isBroken = card && card.state === "broken" && verdict === "skip";
    if (!this.active || this.isOut || this.undoing || this.offer.isOpen || !card || card !== this.on) return;
    if (!isBroken && (card.state !== "ready" || performance.now() - this.shownAt < STEADY_MS)) return;
    const entry = { uid: card.uid, token: card.token, verdict, key: newKey() };
    this.given.push(entry);
    this.outbox.add(entry);
    this.deck.next();
    this.on = null;
    if (typeof verdict === "number") {
      this.choices.flash(verdict);
      if (this.offer.open(card, entry)) {
        this.choices.clear();
        this.canAnswer(false);
        if (this.acts.stop) this.acts.stop();
        this.stageIs = "offer";
        this.say(this.offer.spoken);
        return;
      }
    }
    this.render();
  }

  share(entry, also) {
    for (const uid of also) this.deck.settle(uid);
    if (this.outbox.share(entry, also)) {
      entry.also = also;
    } else {
      const again = { ...entry, key: newKey(), also };
      this.given.push(again);
      this.outbox.add(again);
    }
    this.say(`Same answer for ${also.length} more`, false);
  }

  sent(entry, receipt) {
    const mine = this.given.find((each) => each.key === entry.key);
    if (mine) mine.kept = true;
    for (const uid of [entry.uid, ...receipt.shared]) this.deck.settle(uid);
    if (entry.also && receipt.shared.length < entry.also.length) {
      for (const uid of entry.also) if (!receipt.shared.includes(uid)) this.deck.settled.delete(uid);
    }
    this.refill();
    this.progress.soon();
  }

  refused(entry) {
    this.given = this.given.filter((each) => each.key !== entry.key);
    this.deck.settled.delete(entry.uid);
    this.say("One answer was not taken: that sample is not asked any more.", false);
    this.refill();
  }

  again(card) {
    card.state = "new";
    this.deck.loadAll();
    this.render();
  }

  async undo() {
    if (!this.active || this.isOut || this.undoing) return;
    this.offer.close();
    this.undoing = true;
    try {
      await this.takeBack();
    } finally {
      this.undoing = false;
      this.render();
      this.progress.soon();
    }
  }

  async takeBack() {
    const last = this.given.at(-1);
    if (last && this.outbox.takeBack(last.uid) && !this.wasSent(last.uid)) {
      this.forget(last.uid);
      await this.refill();
      this.broughtBack(last.uid);
      return;
    }
    if (this.outbox.size) {
      this.outbox.hurry();
      await this.emptied();
    }
    if (this.outbox.size) {
      this.say("That answer is on its way: it can be taken back when the device answers.", false);
      return;
    }
    const sent = this.given.filter((entry) => entry.kept);
    const key = sent.length ? sent.at(-1).key : null;
    const reply = await this.ask(() => post("/api/undo", { key }));
    if (!reply) {
      this.say(this.isGone ? "That can be taken back when the device answers." : "Something else was answered since.", false);
      return;
    }
    if (reply.uid === null) {
      this.say("There is nothing to take back.", false);
      return;
    }
    this.forget(reply.uid);
    await this.refill();
    this.broughtBack(reply.uid);
  }

  wasSent(uid) {
    return this.given.some((entry) => entry.uid === uid && entry.kept);
  }

  // What was said of a sample and its look-alikes holds no longer: all may be asked again.
  forget(uid) {
    const gone = this.given.filter((entry) => entry.uid === uid);
    for (const each of [uid, ...gone.flatMap((entry) => entry.also || [])]) this.deck.settled.delete(each);
    this.given = this.given.filter((entry) => entry.uid !== uid);
  }

  broughtBack(uid) {
    this.on = null;
    this.deck.bringBack(uid);
    this.say("Taken back: here it is again.", false);
  }

  emptied() {
    return new Promise((resolve) => {
      const until = performance.now() + 3000;
      const look = () => (this.outbox.size && performance.now() < until ? setTimeout(look, 30) : resolve());
      look();
    });
  }

  async guess() {
    const card = this.on;
    if (!this.told.guess || !card || this.offer.isOpen) return;
    const reply = await this.ask(() => get(`/api/guess/${card.uid}`));
    if (!reply || this.on !== card) return;
    if (reply.label === null) {
      this.say("The model has no guess.", false);
      return;
    }
    const guesser = reply.own ? "own model" : "fleet model";
    this.choices.guess(reply.label, guesser);
    this.say(`The ${guesser}’s guess: ${this.told.classes[reply.label]}`);
  }

  // --- keys and buttons -------------------------------------------------------------------------

  wire() {
    $("undo").addEventListener("click", () => this.undo());
    $("skip").addEventListener("click", () => this.answer("skip"));
    $("unsure").addEventListener("click", () => this.answer("unsure"));
    $("guess").addEventListener("click", () => this.guess());
    $("guess").hidden = !this.told.guess;
    $("help-guess").hidden = !this.told.guess;
    for (const name of ["guidelines", "progress", "help"]) {
      if ($(`open-${name}`)) $(`open-${name}`).addEventListener("click", () => this.openDialog(name));
    }
    for (const dialog of document.querySelectorAll("dialog")) {
      dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
    }
    if ($("sign-out")) $("sign-out").addEventListener("click", () => this.signOut());
    this.wireKeys();
    addEventListener("online", () => this.outbox.hurry());
    document.addEventListener("visibilitychange", () => !document.hidden && this.refill());
    setInterval(() => this.isHere() && this.refill(), RENEW_MS);
    setInterval(() => this.isHere() && !this.deck.first && this.refill(), ASK_AGAIN_MS);
    setInterval(() => this.leave(), ASK_AGAIN_MS);
    for (const event of ["keydown", "pointerdown"]) document.addEventListener(event, () => this.touched(), { capture: true });
    addEventListener("beforeunload", (event) => {
      if (this.outbox.size && !this.outbox.safe) event.preventDefault();
    });
  }

  wireKeys() {
    const box = $("keys-on");
    try {
      box.checked = localStorage.getItem(SETTINGS) !== "off";
    } catch {
      box.checked = true;
    }
    box.addEventListener("change", () => {
      try {
        localStorage.setItem(SETTINGS, box.checked ? "on" : "off");
      } catch {
        // Only until the tab is closed, then.
      }
    });
    const keys = {
      s: () => this.answer("skip"),
      u: () => this.answer("unsure"),
      z: () => this.undo(),
      g: () => this.guess(),
      p: () => this.acts.play && this.acts.play(),
      y: () => this.offer.yes(),
      n: () => this.offer.no(),
      "/": () => this.choices.find(),
      "?": () => this.openDialog("help"),
      i: () => this.openDialog("guidelines"),
      c: () => this.openDialog("progress"),
      "+": () => this.acts.zoom && this.acts.zoom(1.5),
      "-": () => this.acts.zoom && this.acts.zoom(1 / 1.5),
    };
    document.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
      if (!box.checked || event.repeat || document.querySelector("dialog[open]")) return;
      if (event.target.matches("input:not([type=checkbox]), textarea")) return;
      const act = this.offer.isOpen && event.key === "Escape" ? keys.n : keys[event.key];
      const label = this.choices.keys.get(event.key);
      if (act) act();
      else if (label !== undefined) this.answer(label);
      else return;
      event.preventDefault();
    });
  }

  isHere() {
    return !document.hidden && performance.now() - this.touchedAt < AWAY_MS;
  }

  touched() {
    const wasAway = !this.isHere();
    this.touchedAt = performance.now();
    if (wasAway) this.refill();
  }

  // An unattended screen shows nothing for longer than the site allows.
  async leave() {
    if (!this.active || this.isOut || performance.now() - this.touchedAt < 1000 * this.told.idle_s) return;
    this.deck.clear();
    this.offer.close();
    this.setOut();
    await post("/logout").catch(() => {});
  }

  openDialog(name) {
    if (!$(name) || $(name).open) return;
    if (name === "progress") this.progress.fetch();
    $(name).showModal();
  }

  async signOut() {
    if (this.outbox.size) {
      $("help").close();
      this.say("Answers are still on their way: sign out when they are kept.", false);
      return;
    }
    if (await this.ask(() => post("/logout"))) location.assign("/");
  }
}

async function begin() {
  for (let pause = 500; ; pause = Math.min(8000, 2 * pause)) {
    try {
      return new Page(await start());
    } catch (err) {
      if (!(err instanceof Gone)) {
        $("stage").replaceChildren($("stage-title"), signedOut());
        return null;
      }
      $("stage").replaceChildren($("stage-title"), unreachable());
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }
}

$("stage").replaceChildren($("stage-title"), make("div", "note", make("div", "busy")));
begin();
