// Ingestion runs: following one, what it refused, and the list of them.
import { byId, make } from "/static/elements.js";
import { moment } from "/static/format.js";
import { PagedList, query } from "/static/paged-list.js";
import { fetchJson } from "/static/session.js";
import { countWords, sourceWords } from "/static/words.js";

const COUNTS = {
  num_added: "added",
  num_updated: "updated",
  num_unchanged: "unchanged",
  num_moved: "moved",
  num_removed: "removed",
  num_exact_duplicates: "exact duplicates",
  num_near_duplicates: "near duplicates",
  num_refused: "refused",
};
const ASK_EVERY_MS = 1000;
const CHIPS = { finished: "chip good", waiting: "chip accent", running: "chip accent" };

/** What a run has done so far. */
export function progressWords(run) {
  const words = Object.entries(COUNTS).filter(([name]) => run[name]).map(([name, verb]) => `${run[name]} ${verb}`);
  return [...words, countWords(run.num_passages, "passage")].join(", ");
}

/** Follow a run until it has ended, and return it as it is then; `onChange` is called with each state of it. */
export async function follow(run, onChange) {
  let now = run;
  onChange(now);
  if (now.finished_at === null) {
    await new Promise((resolve) => {
      const events = new EventSource(`/v1/ingestion-runs/${run.id}/events`);
      const stop = () => {
        events.close();
        resolve();
      };
      events.addEventListener("run", ({ data }) => {
        now = JSON.parse(data);
        onChange(now);
        if (now.finished_at !== null) stop();
      });
      events.addEventListener("error", stop); // the server's own, or a broken connection: it is asked below
    });
  }
  while (now.finished_at === null) {
    await new Promise((resolve) => setTimeout(resolve, ASK_EVERY_MS));
    now = await fetchJson(`/v1/ingestion-runs/${run.id}`);
    onChange(now);
  }
  return now;
}

/** What a run refused: [{source, reason, created_at}]. */
export async function failuresOf(runId) {
  const failures = [];
  let cursor = "";
  do {
    const page = await fetchJson(`/v1/ingestion-runs/${runId}/failures?${query({ limit: 500, cursor })}`);
    failures.push(...page.failures);
    cursor = page.next;
  } while (cursor);
  return failures;
}

function failureList(run) {
  const list = make("ul", { className: "failures plain-list" });
  const folded = make("details", {
    children: [make("summary", { text: `What was refused, and why (${run.num_refused})` }), list],
  });
  folded.addEventListener(
    "toggle",
    async () => {
      try {
        const failures = await failuresOf(run.id);
        list.replaceChildren(
          ...failures.map(({ source, reason }) => make("li", { children: [make("strong", { text: sourceWords(source) }), make("div", { text: reason })] })),
        );
      } catch (error) {
        list.replaceChildren(make("li", { text: error.message }));
      }
    },
    { once: true },
  );
  return folded;
}

function fillCard(card, run) {
  card.replaceChildren(
    make("div", {
      className: "row",
      children: [
        make("h3", { text: `Run ${run.id}` }),
        make("span", { className: CHIPS[run.status] ?? "chip warning", text: run.status }),
        make("span", { className: "quiet", children: [run.collection, " · ", moment(run.started_at)] }),
      ],
    }),
    make("p", { className: "quiet", text: run.paths.map(sourceWords).join(", ") }),
    make("p", { text: progressWords(run) }),
    ...(run.num_refused ? [failureList(run)] : []),
  );
}

function card(run) {
  const made = make("li", { className: "card" });
  fillCard(made, run);
  if (run.finished_at === null) follow(run, (now) => fillCard(made, now)).catch((error) => made.append(make("p", { className: "problem", text: error.message })));
  return made;
}

/** Show the list of runs, newest first. */
export async function showRuns() {
  byId("runs-view").hidden = false;
  const list = new PagedList({
    list: byId("runs"),
    more: byId("runs-more"),
    status: byId("runs-status"),
    problem: byId("runs-problem"),
    empty: "Nothing has been ingested or uploaded yet.",
    load: async (cursor) => {
      const page = await fetchJson(`/v1/ingestion-runs?${query({ limit: 50, cursor })}`);
      return { rows: page.runs, next: page.next };
    },
    row: card,
  });
  await list.restart();
}
