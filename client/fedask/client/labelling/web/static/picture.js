// An image that can be zoomed: buttons, keys, wheel, pinch, click; dragged when it is larger.

import { showFull } from "./closer.js";
import { make } from "./element.js";
import { number, t } from "./words.js";

const MOST = 12;
const CLOSER = 2.5; // what a click does to small images; larger ones go to their full size
const STILL = 6; // pixels that a finger moves though it does not mean to
const SHARP_BELOW = 200; // pixels: smaller images show their pixels, larger ones are smoothed

export function picture(data, name, part) {
  const { width, height } = part.reduced ? part : data;
  const image = make("img");
  image.src = part.fullUrl || data.url;
  image.alt = t("{name}, {width} by {height} pixels", { name, width: number(width), height: number(height) });
  image.draggable = false;
  if (Math.max(width, height) < SHARP_BELOW) image.classList.add("pixels");
  const less = button("−", t("Zoom out"));
  const more = button("+", t("Zoom in"));
  const element = make("div", "picture", image, make("div", "zoom", less, more));
  const at = { scale: 1, x: 0, y: 0 };

  // The scale at which a pixel of the image is one of the screen.
  function whole() {
    const fit = Math.min(element.clientWidth / width, element.clientHeight / height);
    return 1 / (fit * devicePixelRatio);
  }

  const most = () => Math.max(MOST, 2 * whole());

  function place() {
    const { clientWidth: w, clientHeight: h } = element;
    at.x = Math.min(0, Math.max(w * (1 - at.scale), at.x));
    at.y = Math.min(0, Math.max(h * (1 - at.scale), at.y));
    image.style.transform = `translate(${at.x}px, ${at.y}px) scale(${at.scale})`;
    element.classList.toggle("zoomed", at.scale > 1);
    less.disabled = at.scale <= 1;
    more.disabled = at.scale >= most();
    if (at.scale > 1) showFull(part, image, (state) => { element.dataset.full = state; });
  }

  // Keeps what is at (x, y) there.
  function zoom(by, x = element.clientWidth / 2, y = element.clientHeight / 2) {
    const scale = Math.min(most(), Math.max(1, at.scale * by));
    at.x = x - ((x - at.x) * scale) / at.scale;
    at.y = y - ((y - at.y) * scale) / at.scale;
    at.scale = scale;
    place();
  }

  // To its full size, and back.
  const closer = (x, y) => zoom(at.scale > 1 ? 1 / at.scale : Math.max(CLOSER, whole()), x, y);

  less.addEventListener("click", () => zoom(1 / 1.5));
  more.addEventListener("click", () => zoom(1.5));
  element.addEventListener("wheel", (event) => {
    event.preventDefault();
    const box = element.getBoundingClientRect();
    zoom(Math.exp(-event.deltaY / 400), event.clientX - box.left, event.clientY - box.top);
  }, { passive: false });
  byFinger(element, image, at, { zoom, place, closer });
  place();
  return { element, zoom, closer };
}

function byFinger(element, image, at, { zoom, place, closer }) {
  const fingers = new Map();
  let moved = 0; // since the first finger came down
  const spread = () => {
    const [a, b] = [...fingers.values()];
    return Math.hypot(a.x - b.x, a.y - b.y);
  };
  image.addEventListener("pointerdown", (event) => {
    image.setPointerCapture(event.pointerId);
    if (!fingers.size) moved = 0;
    fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
  });
  image.addEventListener("pointermove", (event) => {
    const before = fingers.get(event.pointerId);
    if (!before) return;
    const now = { x: event.clientX, y: event.clientY };
    const was = fingers.size === 2 ? spread() : 0;
    moved += fingers.size === 2 ? STILL : Math.hypot(now.x - before.x, now.y - before.y);
    fingers.set(event.pointerId, now);
    if (fingers.size === 2 && was) {
      const box = element.getBoundingClientRect();
      const [a, b] = [...fingers.values()];
      zoom(spread() / was, (a.x + b.x) / 2 - box.left, (a.y + b.y) / 2 - box.top);
    } else if (fingers.size === 1) {
      at.x += now.x - before.x;
      at.y += now.y - before.y;
      place();
    }
  });
  for (const end of ["pointerup", "pointercancel"]) {
    image.addEventListener(end, (event) => fingers.delete(event.pointerId));
  }
  image.addEventListener("click", (event) => {
    if (event.detail > 1 || moved > STILL) return; // the second of a double one, or the end of a drag
    const box = element.getBoundingClientRect();
    closer(event.clientX - box.left, event.clientY - box.top);
  });
}

function button(text, label) {
  const element = make("button", "", text);
  element.type = "button";
  element.setAttribute("aria-label", label);
  return element;
}
