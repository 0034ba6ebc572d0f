// A closer look: what a screen does not need is fetched once somebody wants it.

import { get } from "./api.js";

// Shows an image in full as soon as it is there. part: of a sample, as media.js loaded it; keeps what was fetched.
export async function showFull(part, image, tell) {
  if (!part.reduced || part.fullUrl || part.fetching) return;
  part.fetching = true;
  tell("loading");
  try {
    const url = URL.createObjectURL(await get(`${part.path}/full`, "blob"));
    const full = new Image();
    full.src = url;
    part.fullUrl = url;
    if (part.isGone) return forget(part);
    await full.decode(); // or it would be blank for a moment
    image.src = url;
    tell("yes");
  } catch {
    forget(part); // zooming again tries again; if the device is gone, the page says so by itself
    tell("no");
  } finally {
    part.fetching = false;
  }
}

export function forget(part) {
  if (part.fullUrl) URL.revokeObjectURL(part.fullUrl);
  part.fullUrl = "";
}
