// Whether somebody is in front of the screen.

const AWAY_MS = 600000; // nobody touches anything: the page asks for nothing more by itself

export class Presence {
  // back(): somebody is here again.
  constructor(back) {
    this.back = back;
    this.touchedAt = performance.now();
    for (const event of ["keydown", "pointerdown"]) document.addEventListener(event, () => this.touched(), { capture: true });
  }

  get idleMs() {
    return performance.now() - this.touchedAt;
  }

  get isHere() {
    return !document.hidden && this.idleMs < AWAY_MS;
  }

  touched() {
    const wasAway = !this.isHere;
    this.touchedAt = performance.now();
    if (wasAway) this.back();
  }
}
