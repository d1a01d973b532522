// Numbers, moments and sizes as people read them.
import { make } from "/static/elements.js";
import { momentWords } from "/static/words.js";

export const NOTHING = "–";
const DAY = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", timeZone: "UTC" });
const UNITS = ["bytes", "kB", "MB", "GB"];

const orNothing = (words) => (value) => (value === null || value === undefined ? NOTHING : words(value));

export const percent = orNothing((share) => `${Math.round(share * 100)}%`);
export const decimal = orNothing((value) => value.toFixed(2));
export const whole = orNothing((value) => Math.round(value).toLocaleString());
export const milliseconds = orNothing((value) => `${Math.round(value).toLocaleString()} ms`);

/** A p-value: small ones only as small. */
export const probability = orNothing((value) => (value < 0.001 ? "< 0.001" : value.toFixed(3)));

/** A difference with its sign; `words` says the rest. */
export const signed = (value, words) => `${value > 0 ? "+" : value < 0 ? "−" : ""}${words(Math.abs(value))}`;

/** A day, given as YYYY-MM-DD. */
export const dayName = (day) => DAY.format(new Date(`${day}T00:00:00Z`));

/** A moment in the reader's own time zone. */
export function moment(iso) {
  return make("time", { text: momentWords(iso), attributes: { datetime: iso } });
}

export function size(bytes) {
  const power = Math.min(UNITS.length - 1, Math.floor(Math.log10(Math.max(1, bytes)) / 3));
  return `${(bytes / 1000 ** power).toLocaleString(undefined, { maximumFractionDigits: 1 })} ${UNITS[power]}`;
}
