// Charts over days: plain SVG, drawn as wide as there is room, with the same numbers in a table beneath.
import { make } from "/static/elements.js";
import { dayName } from "/static/format.js";
import { table } from "/static/tables.js";

const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 210;
const MARGIN = { right: 14, top: 10, bottom: 26 };
const PIXELS_PER_CHARACTER = 7.2; // of the names of the steps, at most
const NUM_STEPS = 4;
const PIXELS_PER_DAY_NAME = 84;
const MS_PER_DAY = 86_400_000;
// Lines differ in the shape of their points as well as in colour.
const POINTS = [
  "M-3.5 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0 -7 0z",
  "M-3 -3h6v6h-6z",
  "M0 -4L4 3.2h-8z",
  "M0 -4.4L4.4 0L0 4.4L-4.4 0z",
  "M-4 -3.2h8L0 4z",
];

function draw(tag, attributes = {}, children = []) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** The end of an axis that holds the highest value: so many steps of 1, 2, 2.5 or 5 times a power of ten. */
function endOfAxis(highest, inWholes) {
  const step = Math.max(highest / NUM_STEPS, inWholes ? 1 : 1e-6);
  const power = 10 ** Math.floor(Math.log10(step));
  const times = inWholes && power < 10 ? [1, 2, 5, 10] : [1, 2, 2.5, 5, 10];
  return NUM_STEPS * power * times.find((time) => time * power >= step - 1e-12);
}

const dayNumber = (day) => Date.parse(`${day}T00:00:00Z`) / MS_PER_DAY;

function axes({ scale, top, first, last, stepNames }) {
  const parts = [];
  for (let step = 0; step <= NUM_STEPS; step += 1) {
    const value = (top * step) / NUM_STEPS;
    const y = scale.y(value);
    parts.push(draw("line", { class: "grid", x1: scale.left, x2: scale.right, y1: y, y2: y }));
    parts.push(draw("text", { x: scale.left - 8, y: y + 4, "text-anchor": "end" }, [stepNames[step]]));
  }
  const numDays = last - first;
  const every = Math.max(1, Math.ceil((numDays * PIXELS_PER_DAY_NAME) / (scale.right - scale.left)));
  for (let day = last; day >= first; day -= every) {
    const words = dayName(new Date(day * MS_PER_DAY).toISOString().slice(0, 10));
    const anchor = day === last ? "end" : "middle";
    const x = day === last ? scale.right + MARGIN.right : scale.x(day);
    if (scale.x(day) > scale.left + 12) parts.push(draw("text", { x, y: HEIGHT - 6, "text-anchor": anchor }, [words]));
  }
  return parts;
}

function line({ name, values }, place, { days, scale, format }) {
  const known = days.map((day, at) => [day, values[at]]).filter(([, value]) => value !== null && value !== undefined);
  const at = known.map(([day, value]) => [scale.x(dayNumber(day)), scale.y(value)]);
  const path = at.map(([x, y], number) => `${number ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");
  const points = at.map(([x, y], number) => {
    const words = `${dayName(known[number][0])}, ${name}: ${format(known[number][1])}`;
    const attributes = { d: POINTS[place % POINTS.length], transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})` };
    return draw("path", { class: "point", ...attributes }, [draw("title", {}, [words])]);
  });
  return draw("g", { class: `series series-${place + 1}` }, [draw("path", { class: "line", d: path }), ...points]);
}

function bars({ name, values }, place, { days, scale, format, first, last, numSeries }) {
  const room = (scale.right - scale.left) / (last - first + 1);
  const width = Math.max(1, Math.min(14, (room * 0.8) / numSeries));
  const drawn = days.map((day, at) => {
    const x = scale.x(dayNumber(day)) + (place - numSeries / 2) * width;
    const y = scale.y(values[at] ?? 0);
    const words = `${dayName(day)}, ${name}: ${format(values[at])}`;
    const box = { x: x.toFixed(1), y: y.toFixed(1), width: width.toFixed(1), height: (scale.y(0) - y).toFixed(1) };
    return draw("rect", { class: "bar-of-day", ...box }, [draw("title", {}, [words])]);
  });
  return draw("g", { class: `series series-${place + 1}` }, drawn);
}

function picture(width, options) {
  const { title, days, series, format, top: fixedTop, inWholes, asBars, first: firstDay, last: lastDay } = options;
  const [first, last] = [dayNumber(firstDay), dayNumber(lastDay)];
  const values = series.flatMap((one) => one.values).filter((value) => value !== null && value !== undefined);
  const top = fixedTop ?? endOfAxis(Math.max(0, ...values), inWholes);
  const right = width - MARGIN.right;
  const inset = asBars ? 12 : 0;
  const stepNames = Array.from({ length: NUM_STEPS + 1 }, (_, step) => format((top * step) / NUM_STEPS));
  const left = 10 + PIXELS_PER_CHARACTER * Math.max(...stepNames.map((name) => name.length));
  const across = (right - left - 2 * inset) / Math.max(1, last - first);
  const scale = {
    left,
    right,
    x: (day) => left + inset + (day - first) * across,
    y: (value) => HEIGHT - MARGIN.bottom - (value / top) * (HEIGHT - MARGIN.top - MARGIN.bottom),
  };
  const one = asBars ? bars : line;
  const context = { days, scale, format, first, last, numSeries: series.length };
  return draw(
    "svg",
    { viewBox: `0 0 ${width} ${HEIGHT}`, width, height: HEIGHT, role: "img", "aria-label": summary(title, options) },
    [...axes({ scale, top, first, last, stepNames }), ...series.map((shown, place) => one(shown, place, context))],
  );
}

function summary(title, { days, series, format }) {
  const lasts = series.map(({ name, values }) => `${name} ${format(values.at(-1))}`);
  return `${title}, ${dayName(days[0])} to ${dayName(days.at(-1))}. On the last day: ${lasts.join(", ")}.`;
}

function legendEntry({ name, values }, place, { asBars, format }) {
  const shape = asBars ? "M-5 -5h10v10h-10z" : POINTS[place % POINTS.length];
  const key = draw("svg", { class: `series series-${place + 1}`, viewBox: "-7 -7 14 14", "aria-hidden": "true" }, [
    draw("path", { class: asBars ? "bar-of-day" : "point", d: shape }),
  ]);
  return make("li", { children: [key, `${name} `, make("span", { className: "quiet", text: format(values.at(-1)) })] });
}

function numbers({ title, days, series, format }) {
  const columns = [["Day", false], ...series.map(({ name }) => [name, true])];
  return table(title, columns, days.map((day, at) => [day, ...series.map(({ values }) => format(values[at]))]));
}

/**
 * A figure: the chart, what its lines are, and its numbers as a table.
 *
 * `days` are YYYY-MM-DD in order, from `first` to `last` of the axis; each of `series` is {name, values}, a value or
 * null for each day. `format` puts a value into words. `top` ends the axis; without it the values do, in whole
 * steps where `inWholes`. `asBars` draws bars instead of lines.
 */
export function chart(options) {
  const { title, days, series } = options;
  const plot = make("div", { className: "plot" });
  const legend = series.map((one, place) => legendEntry(one, place, options));
  let drawnWidth = 0;
  new ResizeObserver(() => {
    const width = Math.floor(plot.clientWidth);
    if (width === drawnWidth || width < 120) return;
    drawnWidth = width;
    plot.replaceChildren(picture(width, options));
  }).observe(plot);
  return make("figure", {
    className: "card chart",
    children: [
      make("figcaption", { text: title }),
      plot,
      make("ul", { className: "legend plain-list", children: legend }),
      make("details", {
        children: [
          make("summary", { text: `The numbers of ${days.length === 1 ? "one day" : `${days.length} days`}` }),
          numbers(options),
        ],
      }),
    ],
  });
}
