// How far the labelling is, and what it has brought.

import { get } from "./api.js";
import { make } from "./element.js";

const PAUSE_MS = 1500;
const $ = (id) => document.getElementById(id);

// Days are those of the calendar: what began this morning did not begin "Monday".
function sinceWhen(then, now, size) {
  const midnight = (date) => new Date(date.getFullYear(), date.getMonth(), date.getDate());
  const days = Math.round((midnight(now) - midnight(then)) / 86400000);
  if (days <= 0) return "today";
  const form = days < 7 ? { weekday: size } : { day: "numeric", month: size };
  return `since ${then.toLocaleDateString("en", form)}`;
}

// What was gained, in words; brief ones where there is no room.
export function gained({ measure, points, since }, now, size) {
  const name = measure.charAt(0).toUpperCase() + measure.slice(1);
  const much = `+${points} ${points === 1 ? "point" : "points"} ${sinceWhen(new Date(since), now, size)}`;
  return size === "long" ? `${name} ${much}` : much;
}

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
    chip.replaceChildren(make("span", "long", gained(gain, new Date(), "long")), make("span", "brief", gained(gain, new Date(), "short")));
  }
}
