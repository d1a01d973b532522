// What people ask and the documents do not answer: a view of the Review page.
import { byId, make } from "/static/elements.js";
import { moment, percent } from "/static/format.js";
import { fillForm, PagedList, query, valuesOf } from "/static/paged-list.js";
import { fetchJson } from "/static/session.js";
import { countWords } from "/static/words.js";

function closest({ best_title, best_text, best_relevance }) {
  if (best_text === null) return [];
  const relevance = best_relevance === null ? "" : `, ${percent(best_relevance)} relevant`;
  return [
    make("details", {
      children: [
        make("summary", { className: "quiet", text: `The closest passage: ${best_title}${relevance}` }),
        make("p", { className: "passage-words", text: best_text }),
      ],
    }),
  ];
}

function card(row) {
  const since = row.answered_since ? ` · answered since, ${countWords(row.num_answered, "time")}` : "";
  const link = make("a", { text: "The last answer", attributes: { href: `/review?${query({ view: "answers", answer: row.last_answer_id })}` } });
  return make("li", {
    className: "card",
    children: [
      make("h3", { text: row.question }),
      make("p", {
        className: "quiet",
        children: [`asked ${countWords(row.num_asked, "time")}, last `, moment(row.last_asked_at), ` · ${row.collection}${since}`],
      }),
      ...closest(row),
      make("p", { children: [link] }),
    ],
  });
}

/** Show the view, and read it anew whenever its filters change. */
export async function showUnanswered() {
  byId("unanswered-view").hidden = false;
  const form = byId("unanswered-filters");
  const list = new PagedList({
    list: byId("unanswered"),
    more: byId("unanswered-more"),
    status: byId("unanswered-status"),
    problem: byId("unanswered-problem"),
    empty: "Every question has found an answer.",
    load: async (cursor) => {
      const { answered_since: since, ...values } = valuesOf(form);
      const wanted = { ...values, answered_since: since === "any" ? "" : since, limit: 50, cursor };
      const page = await fetchJson(`/v1/unanswered-questions?${query(wanted)}`);
      return { rows: page.questions, next: page.next };
    },
    row: card,
  });
  form.addEventListener("change", () => list.restart());
  form.addEventListener("submit", (event) => event.preventDefault());
  fillForm(form, new URLSearchParams({ answered_since: "false" }));
  await list.restart();
}
