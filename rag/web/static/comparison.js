// Two evaluations of the same questions side by side: figures with their tests, questions, and groups of them.
import { byId, make } from "/static/elements.js";
import { NOTHING, percent, probability, signed, whole } from "/static/format.js";
import { query } from "/static/paged-list.js";
import { details, table } from "/static/tables.js";

const FIGURES = { exact_match: "Exact match", f1: "F1", abstained: "Withheld", hit_at_1: "Found first" };
const LESS_IS_BETTER = new Set(["abstained"]);
const DIMENSIONS = { kind: "kind of question", collection: "collection", source: "document", format: "format", origin: "origin" };
const LEVEL = 0.05;

const points = (share) => `${(share * 100).toFixed(1)} points`;

/** What a difference means: better, worse, or no more than chance would do. */
function verdict({ name, difference, is_significant: isSignificant }) {
  if (!isSignificant) return ["could be chance", "chip"];
  if (LESS_IS_BETTER.has(name)) return [difference > 0 ? "more" : "less", "chip accent"];
  return difference > 0 ? ["better", "chip good"] : ["worse", "chip warning"];
}

function figure(one) {
  const [words, className] = verdict(one);
  return make("li", {
    className: "card figure",
    children: [
      make("h3", { text: FIGURES[one.name] ?? one.name }),
      make("p", { className: "values", children: [percent(one.a), make("span", { className: "quiet", text: " → " }), percent(one.b)] }),
      make("p", { children: [make("span", { className, text: words }), ` ${signed(one.difference, points)}`] }),
      make("p", { className: "quiet", text: `95% interval ${signed(one.low, points)} to ${signed(one.high, points)}` }),
      make("p", { className: "quiet", text: `p ${probability(one.p_value)}, ${one.test}` }),
    ],
  });
}

function said(name, prediction, f1, answerId) {
  const link = make("a", { text: `answer ${answerId}`, attributes: { href: `/review?${query({ view: "answers", answer: answerId })}` } });
  return make("div", {
    children: [
      make("dt", { text: `${name}, F1 ${percent(f1)}` }),
      make("dd", { children: [prediction || "(withheld)", ...(answerId === null ? [] : [" · ", link])] }),
    ],
  });
}

function question(one) {
  return make("li", {
    className: "card",
    children: [
      make("h4", { text: one.question }),
      make("dl", {
        children: [
          make("div", { children: [make("dt", { text: "Right" }), make("dd", { text: one.reference_answers.join(" / ") || "no answer" })] }),
          said("A", one.prediction_a, one.f1_a, one.answer_id_a),
          said("B", one.prediction_b, one.f1_b, one.answer_id_b),
        ],
      }),
    ],
  });
}

function questionPart(title, questions, number) {
  const more = number > questions.length ? ` The first ${questions.length} of them.` : "";
  return make("section", {
    children: [
      make("h3", { text: `${title} (${whole(number)})` }),
      ...(more ? [make("p", { className: "quiet", text: more.trim() })] : []),
      number
        ? make("ol", { className: "cards plain-list", children: questions.map(question) })
        : make("p", { className: "quiet", text: "None." }),
    ],
  });
}

function sliceRows(slices) {
  return slices.map((one) => {
    const isSure = one.difference_p !== null && one.difference_p < LEVEL;
    const isBehind = one.behind_rest_p !== null && one.behind_rest_p < LEVEL && one.behind_rest > 0;
    const marks = [
      isSure && make("span", { className: one.difference > 0 ? "chip good" : "chip warning", text: one.difference > 0 ? "better" : "worse" }),
      isBehind && make("span", { className: "chip warning", text: "behind the rest" }),
    ].filter(Boolean);
    return [
      one.value,
      whole(one.num_questions),
      percent(one.f1_a),
      percent(one.f1_b),
      signed(one.difference, points),
      one.difference_p === null ? NOTHING : probability(one.difference_p),
      make("span", { className: "row", children: marks }),
    ];
  });
}

function slicePart(slices) {
  const columns = [["", false], ["questions", true], ["F1 of A", true], ["F1 of B", true], ["difference", true], ["p", true], ["", false]];
  return Object.entries(DIMENSIONS).flatMap(([dimension, words]) => {
    const rows = slices.filter((one) => one.dimension === dimension);
    if (rows.length < 2) return []; // one group is all the questions, whose figures stand above
    const named = [[words, false], ...columns.slice(1)];
    return [table(`By ${words}`, named, sliceRows(rows))];
  });
}

function changedPart(changed) {
  const names = Object.entries(changed);
  const words = (value) => (value === null ? NOTHING : String(value));
  if (!names.length) return make("p", { className: "quiet", text: "Both ran with the same settings." });
  return make("div", {
    children: [
      make("h3", { text: "Settings that differ" }),
      details(names.map(([name, [a, b]]) => [name, `${words(a)} → ${words(b)}`])),
    ],
  });
}

/** Show a comparison, as the route gives it. */
export function showComparison(compared) {
  const { a, b, num_questions: all, num_same: same, num_better: better, num_worse: worse } = compared;
  byId("comparison-title").textContent = `Evaluation ${b.id} (B) against ${a.id} (A)`;
  const slices = slicePart(compared.slices);
  byId("comparison-words").replaceChildren(
    make("p", { text: `Of ${whole(all)} questions, ${whole(better)} got better, ${whole(worse)} worse, and ${whole(same)} stayed as they were.` }),
    make("ul", { className: "figures plain-list", children: compared.figures.map(figure) }),
    changedPart(compared.changed),
    make("div", {
      className: "sides",
      children: [questionPart("Worse", compared.worse, worse), questionPart("Better", compared.better, better)],
    }),
    ...(slices.length ? [make("h3", { text: "Groups of questions" }), make("div", { className: "slices", children: slices })] : []),
  );
}
