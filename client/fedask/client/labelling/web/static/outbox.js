// Answers on their way. Each stays in localStorage until the device has said that it is kept,
// whatever happens to the connection, the tab or the browser meanwhile.

import { Gone, SignedOut, post } from "./api.js";

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 8000;

export class Outbox {
  // events: sent(entry, receipt), refused(entry), gone(trouble or ""), signedOut(), changed(count)
  constructor(who, events) {
    this.place = `fedask.outbox.${who}`; // never sent under another name
    this.events = events;
    this.list = [];
    this.safe = true; // whether the browser keeps it
    this.active = false;
    this.sending = false;
    this.wake = null;
  }

  open() {
    try {
      const kept = JSON.parse(localStorage.getItem(this.place) || "[]");
      this.list = Array.isArray(kept) ? kept : [];
    } catch {
      this.list = [];
      this.safe = false;
    }
    this.active = true;
    this.events.changed(this.list.length);
    this.send();
  }

  close() {
    this.active = false;
    this.list = [];
    this.hurry();
  }

  get size() {
    return this.list.length;
  }

  has(uid) {
    return this.list.some((entry) => entry.uid === uid || (entry.also || []).includes(uid));
  }

  add(entry) {
    this.list.push({ ...entry, tried: false });
    this.keep();
    if (!this.sending) this.send();
  }

  // Share an answer with look-alikes: with the answer itself if it has not left yet.
  share(entry, also) {
    const waiting = this.list.find((each) => each.key === entry.key && !each.tried);
    if (!waiting) return false;
    waiting.also = also;
    this.keep();
    return true;
  }

  // Take out the answers for a sample that have not left yet; return whether none is left.
  takeBack(uid) {
    const before = this.list.length;
    while (this.list.length && this.list.at(-1).uid === uid && !this.list.at(-1).tried) this.list.pop();
    if (this.list.length !== before) this.keep();
    return !this.list.some((entry) => entry.uid === uid);
  }

  // By its key: another tab may have sent some meanwhile.
  drop(entry) {
    this.list = this.list.filter(({ key }) => key !== entry.key);
    this.keep();
  }

  keep() {
    try {
      localStorage.setItem(this.place, JSON.stringify(this.list));
    } catch {
      this.safe = false;
    }
    this.events.changed(this.list.length);
  }

  hurry() {
    if (this.wake) this.wake();
  }

  // One at a time, in the order they were given.
  async send() {
    if (this.sending) return;
    this.sending = true;
    let pause = FIRST_PAUSE_MS;
    while (this.active && this.list.length) {
      const entry = this.list[0];
      entry.tried = true;
      this.keep();
      try {
        const { uid, token, annotation, key, also } = entry;
        const receipt = await post("/api/answer", { uid, token, annotation, key, also: also || [] });
        if (!this.active) break;
        pause = FIRST_PAUSE_MS;
        this.events.gone("");
        this.drop(entry);
        this.events.sent(entry, receipt);
      } catch (err) {
        if (!this.active) break;
        if (err instanceof SignedOut) {
          this.events.signedOut();
          break;
        }
        if (err instanceof Gone) {
          this.events.gone(err.trouble);
          await new Promise((resolve) => {
            this.wake = resolve;
            setTimeout(resolve, pause);
          });
          pause = Math.min(2 * pause, LONGEST_PAUSE_MS);
        } else {
          this.drop(entry);
          this.events.refused(entry);
        }
      }
    }
    this.sending = false;
  }
}
