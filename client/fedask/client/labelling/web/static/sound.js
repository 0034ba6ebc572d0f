// A sound as its waveform, with a button and a place to listen from.

import { get } from "./api.js";
import { make, svg } from "./element.js";
import { t, tenths } from "./words.js";

const BARS = 600;
const PLAY = "M7 4.500v15l13-7.500z";
const PAUSE = "M6 4.500h4.500v15H6zM13.500 4.500H18v15h-4.500z";

// The device writes 16-bit PCM; its data chunk is the last.
export function wavOf(buffer) {
  const view = new DataView(buffer);
  const name = (at) => String.fromCharCode(...new Uint8Array(buffer, at, 4));
  const channels = view.getUint16(22, true);
  const rate = view.getUint32(24, true);
  let at = 12;
  while (name(at) !== "data") at += 8 + view.getUint32(at + 4, true);
  const frames = new Int16Array(buffer.slice(at + 8));
  const url = URL.createObjectURL(new Blob([buffer], { type: "audio/wav" }));
  return { url, frames, seconds: frames.length / channels / rate };
}

// The least and the largest of each piece: nothing loud falls between two bars.
function outline(frames) {
  const bars = Math.min(BARS, frames.length);
  const [tops, bottoms] = [[], []];
  let most = 1;
  for (const frame of frames) most = Math.max(most, Math.abs(frame));
  for (let bar = 0; bar < bars; bar += 1) {
    const start = Math.floor((bar * frames.length) / bars);
    const stop = Math.max(start + 1, Math.floor(((bar + 1) * frames.length) / bars));
    let [low, high] = [0, 0];
    for (let i = start; i < stop; i += 1) {
      low = Math.min(low, frames[i]);
      high = Math.max(high, frames[i]);
    }
    const x = ((bar + 0.5) * 1000) / bars;
    tops.push(`${x.toFixed(1)},${(100 - (92 * high) / most).toFixed(1)}`);
    bottoms.unshift(`${x.toFixed(1)},${(100 - (92 * low) / most).toFixed(1)}`);
  }
  return `M${tops.concat(bottoms).join("L")}Z`;
}

export function sound(data, name, part) {
  let { seconds } = data;
  const audio = new Audio(data.url);
  const head = svg("line", { x1: 0, x2: 0, y1: 0, y2: 200 });
  const line = svg("path", { d: outline(data.frames) });
  const drawn = svg("svg", { viewBox: "0 0 1000 200", preserveAspectRatio: "none", role: "img" }, line, head);
  drawn.setAttribute("aria-label", t("{name}, {seconds} seconds", { name, seconds: tenths(seconds) }));
  const wave = make("div", "wave", drawn);
  wave.dir = "ltr"; // time runs this way in every language
  const icon = svg("path", { d: PLAY });
  const word = make("span", "", t("Play"));
  const key = make("kbd", "", "p");
  key.setAttribute("aria-hidden", "true");
  const button = make("button", "primary", svg("svg", { viewBox: "0 0 24 24", "aria-hidden": "true" }, icon), word, key);
  button.type = "button";
  const clock = make("time");
  const element = make("div", "sound", wave, make("div", "player", button, clock));

  const tell = () => {
    const x = (1000 * audio.currentTime) / seconds;
    head.setAttribute("x1", x);
    head.setAttribute("x2", x);
    clock.textContent = t("{now} / {all} s", { now: tenths(audio.currentTime), all: tenths(seconds) });
    if (!audio.paused) requestAnimationFrame(tell);
  };
  const state = () => {
    icon.setAttribute("d", audio.paused ? PLAY : PAUSE);
    word.textContent = audio.paused ? t("Play") : t("Pause");
    element.dataset.playing = String(!audio.paused);
    tell();
  };
  const play = () => (audio.paused ? audio.play().catch(state) : audio.pause());
  for (const event of ["play", "pause", "ended"]) audio.addEventListener(event, state);
  button.addEventListener("click", play);
  const seek = (event) => {
    const box = wave.getBoundingClientRect();
    audio.currentTime = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width)) * seconds;
    tell();
  };
  wave.addEventListener("pointerdown", (event) => {
    wave.setPointerCapture(event.pointerId);
    seek(event);
  });
  wave.addEventListener("pointermove", (event) => event.buttons && seek(event));
  // A long one comes with its beginning; all of it on demand.
  const fetchAll = async (event) => {
    const ask = event.currentTarget;
    ask.disabled = true;
    try {
      const whole = wavOf(await get(`${part.path}/full`, "arrayBuffer"));
      if (part.isGone) return URL.revokeObjectURL(whole.url);
      URL.revokeObjectURL(part.data.url);
      Object.assign(part, { data: whole, reduced: false, seconds: 0 });
      audio.src = whole.url;
      seconds = whole.seconds;
      line.setAttribute("d", outline(whole.frames));
      ask.remove();
      state();
    } catch {
      ask.disabled = false;
    }
  };
  if (part.reduced) {
    const ask = make("button", "second", t("All {seconds} seconds", { seconds: tenths(part.seconds) }));
    ask.type = "button";
    ask.addEventListener("click", fetchAll);
    element.lastChild.append(ask);
  }
  state();
  return { element, play, stop: () => audio.pause() };
}
