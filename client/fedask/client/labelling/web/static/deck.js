// The samples that this browser holds: the one on the screen and those that load meanwhile.

import { Ended, Gone, Refused, get, post } from "./api.js";
import { load, unload } from "./media.js";
import { say } from "./voice.js";
import { t } from "./words.js";

const RECENT = 6; // answered ones that an undo shows at once

export class Deck {
  // isAnswered(uid): whether an answer is on its way. changed(): something has arrived.
  constructor(ahead, isAnswered, changed) {
    this.ahead = ahead;
    this.isAnswered = isAnswered;
    this.changed = changed;
    this.cards = [];
    this.recent = [];
    this.settled = new Map(); // uid to the time its answer was kept: older news do not bring it back
    this.filled = false;
    this.filling = null;
  }

  get first() {
    return this.cards[0] || null;
  }

  // Ask the device for samples, and for what was lost of those held already.
  fill() {
    if (!this.filling) {
      this.filling = this.fetchLeases().finally(() => {
        this.filling = null;
      });
    }
    return this.filling;
  }

  async fetchLeases() {
    const asked = performance.now();
    const { leases } = await post("/api/lease", { limit: this.ahead });
    const ended = await this.endedOf(leases);
    const fresh = leases.filter(({ uid }) => !this.isAnswered(uid) && !(this.settled.get(uid) > asked));
    const held = new Set(fresh.map(({ uid }) => uid));
    // What is on the screen stays there, if people may see it: an answer to it is taken even if its time ran out.
    const gone = this.cards.filter((card, at) => card === ended || (at > 0 && !held.has(card.uid)));
    gone.forEach(drop);
    if (gone.includes(ended)) say(t("That sample may not be shown any more."), false);
    this.cards = this.cards.filter((card) => !gone.includes(card));
    for (const lease of fresh) {
      const known = this.cards.find((card) => card.uid === lease.uid);
      if (known) known.near = lease.near;
      else this.cards.push(this.recalled(lease) || { ...lease, state: "new", parts: [] });
    }
    this.filled = true;
    this.loadAll();
    this.changed();
  }

  // The card on the screen, if it may not be seen any more.
  async endedOf(leases) {
    const card = this.first;
    if (!card || leases.some(({ uid }) => uid === card.uid) || (await maySee(card))) return null;
    return card;
  }

  recalled(lease) {
    const at = this.recent.findIndex((card) => card.uid === lease.uid);
    if (at < 0) return null;
    const [card] = this.recent.splice(at, 1);
    return Object.assign(card, lease);
  }

  loadAll() {
    for (const card of this.cards) loadCard(card, this.changed);
  }

  // The first one is answered.
  next() {
    const card = this.cards.shift();
    if (!card) return;
    this.recent.push(card);
    if (this.recent.length > RECENT) drop(this.recent.shift());
  }

  settle(uid) {
    this.settled.set(uid, performance.now());
    const at = this.cards.findIndex((card) => card.uid === uid);
    if (at >= 0) drop(...this.cards.splice(at, 1));
  }

  // A sample is asked again: it comes before all others, if it may be seen again.
  async bringBack(uid) {
    this.settled.delete(uid);
    let card = this.cards.find((each) => each.uid === uid);
    if (!card) {
      card = this.recent.find((each) => each.uid === uid);
      if (!card || !(await maySee(card))) return false;
      this.recent = this.recent.filter((each) => each !== card);
    }
    this.cards = [card, ...this.cards.filter((each) => each !== card)];
    this.loadAll();
    return true;
  }

  clear() {
    this.cards.forEach(drop);
    this.recent.forEach(drop);
    this.cards = [];
    this.recent = [];
    this.filled = false;
  }
}

// Whether a sample that is here already may still be looked at; while the device is gone, nobody can tell.
async function maySee(card) {
  try {
    await get(`/api/sample/${card.uid}`);
  } catch (err) {
    if (err instanceof Ended) return false;
    if (!(err instanceof Refused) && !(err instanceof Gone)) throw err;
  }
  return true;
}

function drop(card) {
  card.parts.forEach(unload);
  card.parts = [];
  card.state = "new";
}

// Fetch what a sample consists of; "new" again if the device was gone.
export async function loadCard(card, changed) {
  if (card.state !== "new") return;
  card.state = "loading";
  try {
    const reply = await get(`/api/sample/${card.uid}`);
    const parts = reply.parts.map((part, at) => load(part, `/api/sample/${card.uid}/${at}`));
    card.parts = await Promise.all(parts);
    card.state = "ready";
  } catch (err) {
    card.state = err instanceof Refused || !(err instanceof Gone) ? "broken" : "new";
  }
  changed();
}
