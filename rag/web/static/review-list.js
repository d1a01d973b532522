// The list beside the answer on the Review page: what to look at first, or all that were logged.
import { byId, make } from "/static/elements.js";
import { decimal, moment, percent } from "/static/format.js";
import { PagedList, query, valuesOf } from "/static/paged-list.js";
import { fetchJson } from "/static/session.js";

const REASONS = {
  thumbs_down: () => "thumbs down",
  asked_often: ({ num_asked }) => `asked ${num_asked} times`,
  low_score: ({ lowest_score }) => `low score ${decimal(lowest_score)}`,
  scorers_disagree: () => "scores disagree",
};
const RATINGS = { 1: "good", "-1": "bad" };

function chips(row) {
  const reasons = (row.reasons ?? []).map((reason) =>
    make("li", { children: [make("span", { className: "chip warning", text: REASONS[reason]?.(row) ?? reason })] }),
  );
  if (!row.reasons && row.rating) {
    const words = `${row.num_reviews ? "reviewed" : "rated"}: ${RATINGS[row.rating]}`;
    const className = row.rating < 0 ? "chip warning" : "chip good";
    reasons.push(make("li", { children: [make("span", { className, text: words })] }));
  }
  return reasons.length ? [make("ul", { className: "row plain-list", children: reasons })] : [];
}

function entry(row, { href, onOpen }) {
  const answer = row.abstained ? "Not answered" : row.answer;
  const link = make("a", {
    className: "entry",
    attributes: { href, "data-answer": row.answer_id },
    children: [
      make("span", { className: "entry-question", text: row.question }),
      make("span", { className: row.abstained ? "entry-answer withheld" : "entry-answer", text: answer }),
      ...chips(row),
      make("span", {
        className: "quiet",
        children: [moment(row.created_at), ` · ${percent(row.confidence)} sure · ${row.collection}`],
      }),
    ],
  });
  link.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return; // another tab or window
    event.preventDefault();
    onOpen(row.answer_id);
  });
  return make("li", { children: [link] });
}

function dayAfter(day) {
  const next = new Date(`${day}T00:00:00Z`);
  next.setUTCDate(next.getUTCDate() + 1);
  return next.toISOString().slice(0, 10);
}

/** What the form says, as the route of the list takes it. */
function asked() {
  const { words, ...values } = valuesOf(byId("filters"));
  values.contains = words;
  if (values.until) values.until = dayAfter(values.until); // the form's day is the last one, the route's is left out
  if (values.rating === "none") {
    delete values.rating;
    values.rated = "false";
  }
  if (!values.score || !values.max_score) {
    delete values.score;
    delete values.max_score;
  }
  return values;
}

/** The list of a view, queue or answers; `onOpen` is called with the id of the answer that is chosen. */
export function reviewList(view, { onOpen }) {
  const isQueue = view === "queue";
  return new PagedList({
    list: byId("answers"),
    more: byId("more"),
    status: byId("list-status"),
    problem: byId("list-problem"),
    empty: isQueue ? "Nothing is waiting to be looked at." : "No answer is like that.",
    load: async (cursor) => {
      const path = isQueue ? "/v1/review-queue" : "/v1/answers";
      const page = await fetchJson(`${path}?${query({ ...(isQueue ? {} : asked()), limit: 50, cursor })}`);
      return { rows: page.answers, next: page.next };
    },
    row: (row) => {
      const href = `/review?${query({ view: isQueue ? "" : view, answer: row.answer_id })}`;
      return entry(row, { href, onOpen });
    },
  });
}

/** Show in the list which answer is open. */
export function markOpen(list, answerId) {
  for (const link of list.querySelectorAll("a")) {
    const isOpen = Number(link.dataset.answer) === answerId;
    if (isOpen) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
    if (isOpen) link.scrollIntoView({ block: "nearest" });
  }
}

/** Show in the list that an answer was just judged. */
export function markJudged(list, feedback) {
  const link = list.querySelector(`[data-answer="${feedback.answer_id}"]`);
  if (!link) return;
  link.classList.add("judged");
  link.querySelector(".just-judged")?.remove();
  const words = `judged: ${RATINGS[feedback.rating]}`;
  link.append(make("span", { className: "chip good just-judged", text: words }));
}
