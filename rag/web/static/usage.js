// Quality, latency and use over time: a view of the Review page.
import { chart } from "/static/chart.js";
import { byId, make, say } from "/static/elements.js";
import { decimal, milliseconds, percent, probability, whole } from "/static/format.js";
import { query, valuesOf } from "/static/paged-list.js";
import { fetchJson } from "/static/session.js";
import { table } from "/static/tables.js";

const CHARTS = [
  { title: "Questions a day", asBars: true, inWholes: true, format: whole, lines: { asked: "num_questions", answered: "num_answered" } },
  {
    title: "Quality, the mean of each day",
    format: decimal,
    top: 1,
    lines: {
      confidence: "mean_confidence",
      faithfulness: "mean_faithfulness",
      "answer relevancy": "mean_answer_relevancy",
      "context precision": "mean_context_precision",
      answerability: "mean_answerability",
    },
  },
  { title: "Latency of an answer", format: milliseconds, lines: { median: "p50_ms", "95th percentile": "p95_ms" } },
  {
    title: "Thumbs of those who asked, and reviews",
    asBars: true,
    inWholes: true,
    format: whole,
    lines: { up: "num_thumbs_up", down: "num_thumbs_down", reviewed: "num_reviewed" },
  },
];
const SHARES = ["answer_rate", "thumbs_up_rate", "thumbs_down_rate", "feedback_rate"];

function charts({ first, last, in_all: days }) {
  return CHARTS.map(({ lines, ...options }) =>
    chart({
      ...options,
      first,
      last,
      days: days.map(({ day }) => day),
      series: Object.entries(lines).map(([name, column]) => ({ name, values: days.map((day) => day[column]) })),
    }),
  );
}

function driftTable({ drift, first_before, last_before }) {
  const words = ({ measure }) => (measure === "total_ms" ? milliseconds : SHARES.includes(measure) ? percent : decimal);
  const rows = drift.map((one) => [
    one.measure.replaceAll("_", " "),
    words(one)(one.before),
    words(one)(one.after),
    one.adjusted_p_value === null ? "too few" : probability(one.adjusted_p_value),
    one.drifted ? make("span", { className: "chip warning", text: "changed" }) : "",
  ]);
  const title = `What has changed since ${first_before} to ${last_before}`;
  const columns = [["measure", false], ["before", true], ["now", true], ["adjusted p", true], ["", false]];
  return [
    make("h3", { text: title }),
    make("p", { className: "quiet", text: "Shares by the two-proportion z test, medians by the Mann-Whitney U test, p-values by Holm's method." }),
    table(title, columns, rows),
  ];
}

function agreementTable({ agreements }) {
  if (!agreements.length) return [];
  const rows = agreements.map((one) => [
    `${one.reviewer} and ${one.other_reviewer}`,
    whole(one.num_answers),
    percent(one.observed),
    decimal(one.kappa),
  ]);
  const title = "How far reviewers agree";
  const columns = [["reviewers", false], ["answers", true], ["judged alike", true], ["Cohen's kappa", true]];
  return [make("h3", { text: title }), table(title, columns, rows)];
}

async function read() {
  const status = byId("time-status");
  const { days, collection } = valuesOf(byId("time-filters"));
  byId("time-problem").textContent = "";
  say(status, "Loading…", { busy: true });
  try {
    const [usage, agreement] = await Promise.all([
      fetchJson(`/v1/usage?${query({ days, collection })}`),
      fetchJson(`/v1/review-agreement?${query({ collection })}`),
    ]);
    const isEmpty = !usage.in_all.length;
    byId("charts").replaceChildren(...(isEmpty ? [] : charts(usage)));
    byId("drift").replaceChildren(...(isEmpty ? [] : driftTable(usage)));
    byId("agreement").replaceChildren(...agreementTable(agreement));
    say(status, isEmpty ? "Nothing was asked in these days." : "");
  } catch (error) {
    say(status, "");
    byId("time-problem").textContent = error.message;
  }
}

/** Show the view, and read it anew whenever its filters change. */
export async function showTime() {
  byId("time-view").hidden = false;
  byId("time-filters").addEventListener("change", read);
  byId("time-filters").addEventListener("submit", (event) => event.preventDefault());
  await read();
}
