// How far the labelling is, and what it has brought.

import { get } from "./api.js";
import { named } from "./choices.js";
import { make } from "./element.js";
import { date, n, number, t } from "./words.js";

const PAUSE_MS = 1500;
const $ = (id) => document.getElementById(id);

const MEASURES = { accuracy: t("Accuracy") };

// What was gained; size: "long" or "short". Days are those of the calendar: what began this morning did not
// begin "Monday".
export function gained({ points, since }, now, size) {
  const then = new Date(since);
  const midnight = (when) => new Date(when.getFullYear(), when.getMonth(), when.getDate());
  const days = Math.round((midnight(now) - midnight(then)) / 86400000);
  if (days <= 0) return n("+{count} point today", "+{count} points today", points);
  if (days < 7) return n("+{count} point since {weekday}", "+{count} points since {weekday}", points, { weekday: date(then, { weekday: size }) });
  return n("+{count} point since {date}", "+{count} points since {date}", points, { date: date(then, { day: "numeric", month: size }) });
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
    const today = n("{count} today", "{count} today", figures.today);
    const left = n("{count} left", "{count} left", figures.left);
    $("counts").replaceChildren(make("span", "", today), " ", make("span", "", left));
    $("bar").style.width = all ? `${(100 * (all - figures.left)) / all}%` : "0";
    this.gain(figures.gain);
    const shown = [[t("Today"), figures.today], [t("Left"), figures.left], [t("Labelled"), figures.done], [t("Skipped"), figures.skipped], [t("By you"), figures.mine]];
    $("figures").replaceChildren(...shown.map(([name, value]) => make("div", "", make("dt", "", name), make("dd", "", number(value)))));
    const most = Math.max(1, ...Object.values(figures.classes));
    const rows = this.classes.map((name, label) => [name, figures.classes[label] || 0]);
    if (rows.length > 20) rows.sort((a, b) => b[1] - a[1]);
    $("shares").replaceChildren(...rows.map(([name, count]) => {
      const bar = make("div");
      bar.style.width = `${(100 * count) / most}%`;
      const track = make("div", "track", bar);
      track.setAttribute("aria-hidden", "true");
      return make("li", "", named(name), track, make("b", "", number(count)));
    }));
  }

  gain(gain) {
    const chip = $("gain");
    chip.hidden = !gain || gain.points <= 0;
    if (chip.hidden) return;
    const now = new Date();
    chip.replaceChildren(make("span", "measure", MEASURES[gain.measure] || gain.measure), " ",
      make("span", "long", gained(gain, now, "long")), make("span", "brief", gained(gain, now, "short")));
  }
}
