// The labelling page: what is on the screen, and what people's answers do.

import { Gone, Refused, SignedOut, get, newKey, post, start } from "./api.js";
import { Choices, readable } from "./choices.js";
import { Deck } from "./deck.js";
import { make } from "./element.js";
import { AnswerHistory } from "./history.js";
import { watchKeyboard } from "./keyboard.js";
import { wireKeys } from "./keys.js";
import { spoken } from "./media.js";
import { allDone, broken, elsewhere, loading, signedOut, waiting } from "./notes.js";
import { Offer } from "./offer.js";
import { Outbox } from "./outbox.js";
import { Presence } from "./presence.js";
import { Progress } from "./progress.js";
import { Stage } from "./stage.js";
import { holdTab } from "./tab.js";
import { banner, say, troubled } from "./voice.js";
import { n, t } from "./words.js";

const STEADY_MS = 140; // a second click of a double one, or a key held down, is no answer
const RENEW_MS = 240000; // leases last minutes: while somebody looks, they go on
const ASK_AGAIN_MS = 10000;
const $ = (id) => document.getElementById(id);

class Page {
  constructor(settings) {
    this.settings = settings;
    this.active = false;
    this.on = null; // the card on the screen
    this.shownAt = 0;
    this.trouble = ""; // of the device: "away", "full", "failed"
    this.isOut = false;
    this.undoing = false;
    this.outbox = new Outbox(settings.annotator, {
      sent: (entry, receipt) => this.sent(entry, receipt),
      refused: (entry) => this.refused(entry),
      gone: (trouble) => this.setTrouble(trouble),
      signedOut: () => this.setOut(),
      changed: () => this.banner(),
    });
    this.deck = new Deck(settings.ahead, (uid) => this.outbox.has(uid), () => this.render());
    this.choices = new Choices(settings.classes, (label) => this.answer(label), (text) => say(text));
    this.offer = new Offer(settings.classes, (entry, also) => this.share(entry, also), () => this.render());
    this.progress = new Progress(settings.classes);
    this.stage = new Stage();
    this.presence = new Presence(() => this.refill());
    this.history = new AnswerHistory(this.outbox, this.deck, {
      ask: (work) => this.ask(work),
      isGone: () => this.isGone,
      again: (uid) => this.bringBack(uid),
    });
    this.wire();
    this.tab = holdTab(`fedask.${settings.annotator}`, { active: () => this.wakeUp(), passive: () => this.rest() });
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
    this.canAnswer(false);
    this.note(elsewhere(() => this.tab.take()));
  }

  get isGone() {
    return this.trouble !== "";
  }

  setTrouble(trouble) {
    if (this.trouble === trouble) return;
    this.trouble = trouble;
    this.banner();
    this.render();
    say(this.isGone ? troubled(trouble, this.outbox.safe) : t("Connected again."));
    if (this.isGone) {
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
      this.setTrouble("");
      return done;
    } catch (err) {
      if (err instanceof SignedOut) this.setOut();
      else if (err instanceof Gone) this.setTrouble(err.trouble);
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
    if (this.isOut) return this.note(signedOut());
    if (!card || card.state === "new" || card.state === "loading") {
      if (this.isGone) return this.note(waiting(this.trouble));
      return this.note(!card && this.deck.filled ? allDone() : loading());
    }
    if (card.state === "broken") {
      this.on = card;
      $("answers").classList.remove("off");
      return this.stage.note(broken(() => this.again(card), () => this.answer("skip")), card);
    }
    if (this.on !== card) this.present(card);
    this.canAnswer(true);
  }

  present(card) {
    this.on = card;
    this.stage.sample(card);
    this.choices.clear();
    this.shownAt = performance.now();
    this.offer.prepare(card, (uid) => this.outbox.has(uid) || this.deck.settled.has(uid));
    say([t("Next sample."), spoken(card.parts)]);
  }

  note(note) {
    this.on = null;
    this.stage.note(note);
  }

  canAnswer(can) {
    $("answers").classList.toggle("off", !can);
    $("answers").dataset.ready = String(can);
  }

  banner() {
    banner(this.outbox.size, { isOut: this.isOut, trouble: this.trouble, isSafe: this.outbox.safe });
  }

  // --- answers ----------------------------------------------------------------------------------

  answer(annotation) {
    const card = this.deck.first;
    const isBroken = card && card.state === "broken" && annotation === "skip";
    if (!this.active || this.isOut || this.undoing || this.offer.isOpen || !card || card !== this.on) return;
    if (!isBroken && (card.state !== "ready" || performance.now() - this.shownAt < STEADY_MS)) return;
    const entry = { uid: card.uid, token: card.token, annotation, key: newKey() };
    this.history.add(entry);
    this.outbox.add(entry);
    this.deck.next();
    this.on = null;
    if (typeof annotation === "number") {
      this.choices.flash(annotation);
      if (this.offer.open(card, entry)) {
        this.choices.clear();
        this.canAnswer(false);
        this.stage.leave("offer");
        say(this.offer.spoken);
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
      this.history.add(again);
      this.outbox.add(again);
    }
    say(n("Same answer for {count} more", "Same answer for {count} more", also.length), false);
  }

  sent(entry, receipt) {
    this.history.kept(entry);
    for (const uid of [entry.uid, ...receipt.shared]) this.deck.settle(uid);
    if (entry.also && receipt.shared.length < entry.also.length) {
      for (const uid of entry.also) if (!receipt.shared.includes(uid)) this.deck.settled.delete(uid);
    }
    this.refill();
    this.progress.soon();
  }

  refused(entry) {
    this.history.drop(entry);
    this.deck.settled.delete(entry.uid);
    say(t("One answer was not taken: that sample is not asked any more."), false);
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
      await this.history.takeBack();
    } finally {
      this.undoing = false;
      this.render();
      this.progress.soon();
    }
  }

  async bringBack(uid) {
    await this.refill();
    this.on = null;
    const isBack = await this.ask(() => this.deck.bringBack(uid));
    say(isBack ? t("Taken back: here it is again.") : t("Taken back. It is not shown again here."), false);
  }

  async guess() {
    const card = this.on;
    if (!this.settings.guess || !card || this.offer.isOpen) return;
    const reply = await this.ask(() => get(`/api/guess/${card.uid}`));
    if (!reply || this.on !== card) return;
    if (reply.label === null) {
      say(t("The model has no guess."), false);
      return;
    }
    this.choices.guess(reply.label, reply.local ? t("local model’s guess") : t("global model’s guess"));
    const name = readable(this.settings.classes[reply.label]);
    say(reply.local ? t("The local model’s guess: {name}", { name }) : t("The global model’s guess: {name}", { name }));
  }

  // --- keys and buttons -------------------------------------------------------------------------

  wire() {
    $("undo").addEventListener("click", () => this.undo());
    $("skip").addEventListener("click", () => this.answer("skip"));
    $("unsure").addEventListener("click", () => this.answer("unsure"));
    $("guess").addEventListener("click", () => this.guess());
    $("guess").hidden = !this.settings.guess;
    $("help-guess").hidden = !this.settings.guess;
    for (const name of ["guidelines", "progress", "help"]) {
      if ($(`open-${name}`)) $(`open-${name}`).addEventListener("click", () => this.openDialog(name));
    }
    for (const dialog of document.querySelectorAll("dialog")) {
      dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
    }
    if ($("sign-out")) $("sign-out").addEventListener("click", () => this.signOut());
    wireKeys(this);
    addEventListener("online", () => this.outbox.hurry());
    document.addEventListener("visibilitychange", () => !document.hidden && this.refill());
    setInterval(() => this.presence.isHere && this.refill(), RENEW_MS);
    setInterval(() => this.presence.isHere && !this.deck.first && this.refill(), ASK_AGAIN_MS);
    setInterval(() => this.leave(), ASK_AGAIN_MS);
    addEventListener("beforeunload", (event) => {
      if (this.outbox.size && !this.outbox.safe) event.preventDefault();
    });
  }

  // An unattended screen shows nothing for longer than the site allows.
  async leave() {
    if (!this.active || this.isOut || this.presence.idleMs < 1000 * this.settings.idle_s) return;
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
      say(t("Answers are still on their way: sign out when they are kept."), false);
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
      $("stage").replaceChildren($("stage-title"), waiting(err.trouble));
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }
}

$("stage").replaceChildren($("stage-title"), make("div", "note", make("div", "busy")));
watchKeyboard();
begin();
