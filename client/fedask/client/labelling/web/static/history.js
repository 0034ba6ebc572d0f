// The answers of this tab, newest last, and how the last one is taken back.

import { post } from "./api.js";
import { say } from "./voice.js";
import { t } from "./words.js";

const PATIENCE_MS = 3000; // for answers on their way

export class AnswerHistory {
  // ask(work): whatever asks the device. isGone(): whether it does not answer.
  // again(uid): the answer to a sample holds no longer, and it is asked again.
  constructor(outbox, deck, { ask, isGone, again }) {
    this.outbox = outbox;
    this.deck = deck;
    this.ask = ask;
    this.isGone = isGone;
    this.again = again;
    this.list = [];
  }

  add(entry) {
    this.list.push(entry);
  }

  kept(entry) {
    const mine = this.list.find((each) => each.key === entry.key);
    if (mine) mine.kept = true;
  }

  drop(entry) {
    this.list = this.list.filter((each) => each.key !== entry.key);
  }

  async takeBack() {
    const last = this.list.at(-1);
    if (last && this.outbox.takeBack(last.uid) && !this.wasSent(last.uid)) {
      await this.forget(last.uid);
      return;
    }
    if (this.outbox.size) {
      this.outbox.hurry();
      await this.emptied();
    }
    if (this.outbox.size) {
      say(t("That answer is on its way: it can be taken back when the device answers."), false);
      return;
    }
    const sent = this.list.filter((entry) => entry.kept);
    const key = sent.length ? sent.at(-1).key : null;
    const reply = await this.ask(() => post("/api/undo", { key }));
    if (!reply) {
      say(this.isGone() ? t("That can be taken back when the device answers.") : t("Something else was answered since."), false);
      return;
    }
    if (reply.uid === null) {
      say(t("There is nothing to take back."), false);
      return;
    }
    await this.forget(reply.uid);
  }

  wasSent(uid) {
    return this.list.some((entry) => entry.uid === uid && entry.kept);
  }

  // The answers to a sample and its look-alikes hold no longer: all may be asked again.
  async forget(uid) {
    const gone = this.list.filter((entry) => entry.uid === uid);
    for (const each of [uid, ...gone.flatMap((entry) => entry.also || [])]) this.deck.settled.delete(each);
    this.list = this.list.filter((entry) => entry.uid !== uid);
    await this.again(uid);
  }

  emptied() {
    return new Promise((resolve) => {
      const until = performance.now() + PATIENCE_MS;
      const look = () => (this.outbox.size && performance.now() < until ? setTimeout(look, 30) : resolve());
      look();
    });
  }
}
