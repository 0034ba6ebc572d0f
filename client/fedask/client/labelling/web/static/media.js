// Shows the parts of a sample: images, sounds, texts, readings. Builds elements, never HTML.

import { get } from "./api.js";
import { forget } from "./closer.js";
import { make } from "./element.js";
import { picture } from "./picture.js";
import { remark } from "./remark.js";
import { sound, wavOf } from "./sound.js";
import { series } from "./series.js";
import { list, t } from "./words.js";

const MEDIA = {
  "image/png": {
    word: t("Image"),
    fetch: async (path) => {
      const url = URL.createObjectURL(await get(path, "blob"));
      const image = new Image();
      image.src = url;
      await image.decode();
      return { url, width: image.naturalWidth, height: image.naturalHeight };
    },
    show: picture,
  },
  "audio/wav": {
    word: t("Sound"),
    fetch: async (path) => wavOf(await get(path, "arrayBuffer")),
    show: sound,
  },
  "text/plain": { word: t("Text"), fetch: async (path) => ({ text: await get(path, "text") }), show: words },
  "application/json": { word: t("Readings"), fetch: (path) => get(path), show: series },
};

MEDIA["image/jpeg"] = MEDIA["image/png"];

export async function load(part, path) {
  const medium = MEDIA[part.medium];
  if (!medium) throw new TypeError(part.medium);
  return { ...part, path, data: await medium.fetch(path) };
}

export function unload(part) {
  part.isGone = true; // also for what is still on its way
  if (part.data && part.data.url) URL.revokeObjectURL(part.data.url);
  forget(part);
}

// What a screen reader says of a sample.
export function spoken(parts) {
  return list(parts.map(({ name, medium, data }) => {
    const what = medium === "text/plain" ? data.text.slice(0, 400) : MEDIA[medium].word;
    return name ? t("{name}: {content}", { name, content: what }) : what;
  }));
}

// Returns the element, and what keys can do with it: zoom(by), closer(), play().
export function show(parts) {
  const view = make("div", "view");
  if (parts.length > 1) view.classList.add("many");
  if (parts.length > 1 && parts.some(({ medium }) => medium !== "application/json")) view.classList.add("wide");
  const acts = {};
  for (const part of parts) {
    const figure = make("figure", "part");
    if (part.name) {
      const caption = make("figcaption", "", part.name.replaceAll("_", " "));
      caption.dir = "auto";
      figure.append(caption);
    }
    const shown = MEDIA[part.medium].show(part.data, part.name || MEDIA[part.medium].word, part);
    figure.append(shown.element, ...remark(part));
    view.append(figure);
    if (shown.zoom && !acts.zoom) Object.assign(acts, { zoom: shown.zoom, closer: shown.closer });
    if (shown.play && !acts.play) acts.play = shown.play;
    if (shown.stop) acts.stop = shown.stop;
  }
  return { view, acts };
}

function words({ text }) {
  const paragraph = make("p", "", text);
  paragraph.dir = "auto";
  const element = make("div", `words ${text.length < 280 ? "short" : text.length > 900 ? "long" : ""}`, paragraph);
  if (text.length > 280) element.tabIndex = 0; // so that keys can scroll it
  return { element };
}
