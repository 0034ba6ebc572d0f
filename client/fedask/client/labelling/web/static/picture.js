// An image that can be zoomed: buttons, keys, wheel, pinch, double click; dragged when it is larger.

import { make } from "./element.js";
import { number, t } from "./words.js";

const MOST = 12;
const SHARP_BELOW = 200; // pixels: smaller images show their pixels, larger ones are smoothed

export function picture({ url, width, height }, name) {
  const image = make("img");
  image.src = url;
  image.alt = t("{name}, {width} by {height} pixels", { name, width: number(width), height: number(height) });
  image.draggable = false;
  if (Math.max(width, height) < SHARP_BELOW) image.classList.add("pixels");
  const less = button("−", t("Zoom out"));
  const more = button("+", t("Zoom in"));
  const element = make("div", "picture", image, make("div", "zoom", less, more));
  const at = { scale: 1, x: 0, y: 0 };

  function place() {
    const { clientWidth: w, clientHeight: h } = element;
    at.x = Math.min(0, Math.max(w * (1 - at.scale), at.x));
    at.y = Math.min(0, Math.max(h * (1 - at.scale), at.y));
    image.style.transform = `translate(${at.x}px, ${at.y}px) scale(${at.scale})`;
    element.classList.toggle("zoomed", at.scale > 1);
    less.disabled = at.scale <= 1;
    more.disabled = at.scale >= MOST;
  }

  // Keeps what is at (x, y) there.
  function zoom(by, x = element.clientWidth / 2, y = element.clientHeight / 2) {
    const scale = Math.min(MOST, Math.max(1, at.scale * by));
    at.x = x - ((x - at.x) * scale) / at.scale;
    at.y = y - ((y - at.y) * scale) / at.scale;
    at.scale = scale;
    place();
  }

  less.addEventListener("click", () => zoom(1 / 1.5));
  more.addEventListener("click", () => zoom(1.5));
  image.addEventListener("dblclick", (event) => zoom(at.scale > 1 ? 1 / MOST : 2.5, event.offsetX, event.offsetY));
  element.addEventListener("wheel", (event) => {
    event.preventDefault();
    const box = element.getBoundingClientRect();
    zoom(Math.exp(-event.deltaY / 400), event.clientX - box.left, event.clientY - box.top);
  }, { passive: false });
  byFinger(element, image, at, zoom, place);
  place();
  return { element, zoom };
}

function byFinger(element, image, at, zoom, place) {
  const fingers = new Map();
  const spread = () => {
    const [a, b] = [...fingers.values()];
    return Math.hypot(a.x - b.x, a.y - b.y);
  };
  image.addEventListener("pointerdown", (event) => {
    image.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
  });
  image.addEventListener("pointermove", (event) => {
    const before = fingers.get(event.pointerId);
    if (!before) return;
    const now = { x: event.clientX, y: event.clientY };
    const was = fingers.size === 2 ? spread() : 0;
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
}

function button(text, label) {
  const element = make("button", "", text);
  element.type = "button";
  element.setAttribute("aria-label", label);
  return element;
}
