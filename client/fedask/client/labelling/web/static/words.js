// What the page says, in the language of whoever reads it. The English messages are the keys.

const given = JSON.parse(document.getElementById("words").textContent);
const language = document.documentElement.lang;
// Of the browser's own variety of it: dates and numbers differ between them.
const locale = navigator.languages.find((each) => each.toLowerCase().split("-")[0] === language.split("-")[0]) || language;

// Made once: to make one takes longer than to use it.
const plain = new Intl.NumberFormat(locale);
const short = new Intl.NumberFormat(locale, { maximumSignificantDigits: 3 });
const decimal = new Intl.NumberFormat(locale, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const joined = new Intl.ListFormat(locale, { style: "short", type: "unit" });

export const number = (value) => plain.format(value);
export const rounded = (value) => short.format(value);
export const tenths = (value) => decimal.format(value);
export const list = (items) => joined.format(items);
export const date = (when, form) => when.toLocaleDateString(locale, form);

// Where lines run leftwards, a name of other letters must not turn what stands around it.
const apart = document.documentElement.dir === "rtl" ? (value) => `\u2068${value}\u2069` : (value) => value;
const fill = (message, values) => message.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? apart(values[name]) : whole));

// A message, with values in the places of their names. Names of classes are values: they stay as they are.
export function t(message, values = {}) {
  return fill((given.messages[message] || [message])[0], values);
}

// A message that counts, in the form that the language has for that number.
export function n(one, many, count, values = {}) {
  const forms = given.messages[one] || [one, many];
  const whole = Number.isInteger(count) ? count : Math.max(2, Math.ceil(count)); // 1.5 points
  const place = Number(given.plurals[whole < 200 ? whole : 100 + (whole % 100)]);
  return fill(forms[place], { count: number(count), ...values });
}
