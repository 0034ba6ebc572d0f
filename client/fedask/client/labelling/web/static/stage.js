// The stage: a sample, or a note in its place.

import { show } from "./media.js";
import { say } from "./voice.js";

const $ = (id) => document.getElementById(id);

export class Stage {
  constructor() {
    this.acts = {}; // what keys may do with what is shown: play, zoom, stop
    this.kind = "";
    this.uid = ""; // of the sample that it shows, or that a note is about
  }

  sample(card) {
    const { view, acts } = show(card.parts);
    this.leave("sample", card.uid);
    this.acts = acts;
    $("stage").replaceChildren($("stage-title"), view);
    $("stage").dataset.uid = card.uid;
  }

  // Drawn once, so that a focus on its buttons stays. With a card: about that sample.
  note(note, card = null) {
    const uid = card ? card.uid : "";
    if (card) $("stage").dataset.uid = uid;
    else delete $("stage").dataset.uid;
    if (this.kind === note.dataset.kind && this.uid === uid) return;
    this.leave(note.dataset.kind, uid);
    $("stage").replaceChildren($("stage-title"), note);
    if (note.said) say(note.said);
  }

  // What was shown goes: a sound stops.
  leave(kind, uid = "") {
    if (this.acts.stop) this.acts.stop();
    this.acts = {};
    this.kind = kind;
    this.uid = uid;
  }
}
