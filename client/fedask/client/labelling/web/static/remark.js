// What a person should know of a part that is not to be seen in it.

import { make } from "./element.js";
import { n, t, tenths } from "./words.js";

function sentences(part) {
  const said = [];
  if (part.more_frames) said.push(t("The first of several frames."));
  if (part.model_reads && part.medium === "audio/wav") said.push(t("The model hears the first {seconds} seconds.", { seconds: tenths(part.model_reads) }));
  if (part.model_reads && part.medium === "text/plain") {
    said.push(n("The model reads the first character.", "The model reads the first {count} characters.", part.model_reads));
  }
  return said;
}

export function remark(part) {
  const said = sentences(part);
  return said.length ? [make("p", "remark", ...said.flatMap((each) => [make("span", "", each), " "]))] : [];
}
