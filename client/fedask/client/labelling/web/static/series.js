// Readings over time: a plot for each channel, each with its own range.

import { make, svg } from "./element.js";
import { number, rounded, t } from "./words.js";

const WIDTH = 1000;
const HEIGHT = 100;
const COLUMNS = 700; // beyond so many steps, the least and the largest of each column

const written = (value) => (value === null || value === undefined ? "–" : rounded(value));

function range(values) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    if (value === null) continue;
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  return low > high ? [0, 0] : [low, high];
}

function line(values, [low, high]) {
  const span = high - low || 1;
  const y = (value) => (high === low ? HEIGHT / 2 : HEIGHT - 6 - ((value - low) / span) * (HEIGHT - 12)).toFixed(1);
  const x = (step) => ((step * WIDTH) / Math.max(1, values.length - 1)).toFixed(1);
  const points = [];
  const size = Math.ceil(values.length / COLUMNS);
  for (let start = 0; start < values.length; start += size) {
    const piece = values.slice(start, start + size);
    if (size === 1) points.push([x(start), piece[0]]);
    else points.push(...range(piece).map((value) => [x(start), value]));
  }
  let d = "";
  let open = false; // a gap in the readings is a gap in the line
  for (const [at, value] of points) {
    if (value !== null) d += `${open ? "L" : "M"}${at} ${y(value)}`;
    open = value !== null;
  }
  return d;
}

export function series({ names, rows }) {
  const element = make("div", "series");
  element.dir = "ltr"; // time runs this way in every language
  const rules = [];
  const channels = names.map((name, at) => {
    const values = rows.map((row) => row[at]);
    const limits = range(values);
    const rule = svg("line", { x1: 0, x2: 0, y1: 0, y2: HEIGHT, visibility: "hidden" });
    rules.push(rule);
    const drawn = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" },
      svg("path", { d: line(values, limits) }), rule);
    const said = { name: name || t("Readings"), low: written(limits[0]), high: written(limits[1]) };
    drawn.setAttribute("aria-label", t("{name}, {low} to {high}", said));
    const extent = `${written(limits[0])} … ${written(limits[1])}`;
    const small = make("small", "", extent);
    element.append(make("div", "channel", make("div", "name", name.replaceAll("_", " "), small), make("div", "plot", drawn)));
    return { values, small, extent };
  });
  const end = make("span", "", number(rows.length - 1));
  element.append(make("div", "axis", make("span", "", number(0)), make("span", "", t("time step")), end));

  const point = (event) => {
    const plot = event.target.closest(".plot");
    if (!plot) return;
    const box = plot.getBoundingClientRect();
    const share = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
    const step = Math.round(share * (rows.length - 1));
    rules.forEach((rule) => {
      rule.setAttribute("visibility", "visible");
      rule.setAttribute("x1", share * WIDTH);
      rule.setAttribute("x2", share * WIDTH);
    });
    channels.forEach(({ values, small }) => {
      small.textContent = `${number(step)}: ${written(values[step])}`;
    });
  };
  element.addEventListener("pointermove", point);
  element.addEventListener("pointerdown", point);
  element.addEventListener("pointerleave", () => {
    rules.forEach((rule) => rule.setAttribute("visibility", "hidden"));
    channels.forEach(({ small, extent }) => {
      small.textContent = extent;
    });
  });
  return { element };
}
