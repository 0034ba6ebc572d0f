// How far the labelling is, and what it has brought.

import { get } from "./api.js";
import { make } from "./element.js";

const PAUSE_MS = 1500;
const $ = (id) => document.getElementById(id);

export class Progress {
  constructor(classes) {
    this.classes = classes;
    this.timer = null;
  }

  // After an answer; a few of them together.
  soon() {
    if (this.timer === null) {
      this.timer = setTimeout(() => {
        this.timer = null;
        this.fetch();
      }, PAUSE_MS);
    }
  }

  async fetch() {
    try {
      this.draw(await get("/api/progress"));
    } catch {
      // Only for information: the next answer asks again.
    }
  }

  draw(figures) {
    const all = figures.done + figures.skipped + figures.left;
    $("counts").replaceChildren(make("strong", "", String(figures.today)), " today · ", make("strong", "", String(figures.left)), " left");
    $("bar").style.width = all ? `${(100 * (all - figures.left)) / all}%` : "0";
    this.gain(figures.gain);
    const shown = [["Today", figures.today], ["Left", figures.left], ["Labelled", figures.done], ["Skipped", figures.skipped], ["By you", figures.mine]];
    $("figures").replaceChildren(...shown.map(([name, value]) => make("div", "", make("dt", "", name), make("dd", "", String(value)))));
    const most = Math.max(1, ...Object.values(figures.classes));
    const rows = this.classes.map((name, label) => [name, figures.classes[label] || 0]);
    if (rows.length > 20) rows.sort((a, b) => b[1] - a[1]);
    $("shares").replaceChildren(...rows.map(([name, count]) => {
      const bar = make("div");
      bar.style.width = `${(100 * count) / most}%`;
      const track = make("div", "track", bar);
      track.setAttribute("aria-hidden", "true");
      return make("li", "", make("span", "", name.replaceAll("_", " ")), track, make("b", "", String(count)));
    }));
  }

  gain(gain) {
    const chip = $("gain");
    chip.hidden = !gain || gain.points <= 0;
    if (chip.hidden) return;
    const since = new Date(gain.since);
    const days = (Date.now() - since) / 86400000;
    const form = (size) => (days < 6.5 ? { weekday: size } : { day: "numeric", month: size });
    const day = (size) => since.toLocaleDateString("en", form(size));
    const points = gain.points === 1 ? "point" : "points";
    const name = gain.measure.charAt(0).toUpperCase() + gain.measure.slice(1);
    chip.replaceChildren(make("span", "long", `${name} +${gain.points} ${points} since ${day("long")}`),
      make("span", "brief", `+${gain.points} ${points} since ${day("short")}`));
  }
}
