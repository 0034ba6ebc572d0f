// What a person should know of a part that is not to be seen in it.

import { make } from "./element.js";

const tenths = (seconds) => seconds.toFixed(1);

function words(part) {
  const said = [];
  if (part.more_frames) said.push("The first of several frames.");
  if (part.model_reads && part.medium === "audio/wav") said.push(`The model hears the first ${tenths(part.model_reads)} seconds.`);
  if (part.model_reads && part.medium === "text/plain") said.push(`The model reads the first ${part.model_reads} characters.`);
  return said.join(" ");
}

export function remark(part) {
  const said = words(part);
  return said ? [make("p", "remark", said)] : [];
}
