// The Evaluation page: the evaluations that were run, and two of them side by side.
import { showComparison } from "/static/comparison.js";
import { byId, make, option, say } from "/static/elements.js";
import { milliseconds, moment, NOTHING, percent, whole } from "/static/format.js";
import { PagedList, query } from "/static/paged-list.js";
import { fetchJson, hasRole, whoAmI } from "/static/session.js";
import { details } from "/static/tables.js";

const fileName = (path) => path.split(/[\\/]/).at(-1);
const isFinished = (run) => run.finished_at !== null;

/** The figures of a run, nested ones by names with dots. What has no figure in it (the bins of a diagram) is left out. */
function figures(metrics, before = "") {
  return Object.entries(metrics ?? {}).flatMap(([name, value]) => {
    if (typeof value === "object" && value !== null) return Array.isArray(value) ? [] : figures(value, `${before}${name}.`);
    return [[before + name, typeof value === "number" && !Number.isInteger(value) ? value.toFixed(4) : String(value)]];
  });
}

function tellAbout(run) {
  const settings = Object.entries(run.settings).map(([name, value]) => [name, String(value ?? NOTHING)]);
  byId("about-title").textContent = `Evaluation ${run.id}`;
  byId("about-words").replaceChildren(
    details([
      ["questions of", run.file],
      ["SHA-256 of them", run.file_sha256],
      ["begun", moment(run.started_at)],
      ["finished", isFinished(run) ? moment(run.finished_at) : "not yet"],
    ]),
    make("h3", { text: "Figures" }),
    details(figures(run.metrics)),
    make("h3", { text: "Settings" }),
    details(settings),
  );
  byId("about").showModal();
}

function row(run) {
  const metrics = run.metrics ?? {};
  const button = make("button", { text: "Details", attributes: { type: "button", "aria-label": `Details of evaluation ${run.id}` } });
  button.addEventListener("click", () => tellAbout(run));
  const number = (text) => make("td", { className: "number", text });
  return make("tr", {
    children: [
      make("th", { className: "number", text: String(run.id), attributes: { scope: "row" } }),
      make("td", { text: fileName(run.file) }),
      make("td", { children: [isFinished(run) ? moment(run.finished_at) : make("span", { className: "chip warning", text: "not finished" })] }),
      number(whole(metrics.num_questions)),
      number(percent(metrics.exact_match)),
      number(percent(metrics.f1)),
      number(percent(metrics.hit_at_1)),
      number(percent(metrics.abstained)),
      number(milliseconds(metrics.latency_ms?.total?.p50)),
      make("td", { children: [button] }),
    ],
  });
}

function offer(runs) {
  for (const id of ["a", "b"]) {
    const chosen = byId(id).value;
    byId(id).replaceChildren(
      ...runs.filter(isFinished).map((run) => {
        const f1 = run.metrics?.f1 === undefined ? "" : ` · F1 ${percent(run.metrics.f1)}`;
        return option(run.id, `${run.id} · ${fileName(run.file)}${f1}`);
      }),
    );
    if (chosen) byId(id).value = chosen;
  }
  byId("choice").hidden = byId("a").options.length < 2;
}

/** Choose an evaluation in a select, also one that is further back than what the list shows. */
function choose(id, wanted) {
  const select = byId(id);
  if (!wanted) return;
  if (![...select.options].some(({ value }) => value === wanted)) select.append(option(wanted, wanted));
  select.value = wanted;
}

/** The newest one, and the one before it that asked the same questions. */
function chooseNewest(runs) {
  const [newest, ...others] = runs.filter(isFinished);
  const before = others.find((run) => newest && run.file_sha256 === newest.file_sha256) ?? others[0];
  choose("b", newest && String(newest.id));
  choose("a", before && String(before.id));
}

async function compare({ focus = true } = {}) {
  const [a, b] = [byId("a").value, byId("b").value];
  byId("compare-problem").textContent = "";
  byId("comparison").hidden = true;
  say(byId("compare-status"), "Comparing…", { busy: true });
  try {
    showComparison(await fetchJson(`/v1/evaluation-runs/compare?${query({ a, b })}`));
    byId("comparison").hidden = false;
    if (focus) byId("comparison-title").focus();
  } catch (error) {
    byId("compare-problem").textContent = error.message;
  } finally {
    say(byId("compare-status"), "");
  }
}

async function start() {
  try {
    const caller = await whoAmI();
    if (!hasRole(caller, "reviewer")) {
      throw new Error(`This page needs the role reviewer, and your key's is ${caller.role}; ask an administrator for one.`);
    }
  } catch (error) {
    byId("problem").textContent = error.message;
    return;
  }
  const list = new PagedList({
    list: byId("runs"),
    more: byId("more"),
    status: byId("runs-status"),
    problem: byId("runs-problem"),
    empty: "No evaluation has been run yet: rag evaluate qa FILE runs one.",
    load: async (cursor) => {
      const page = await fetchJson(`/v1/evaluation-runs?${query({ limit: 50, cursor })}`);
      return { rows: page.evaluation_runs, next: page.next };
    },
    row,
  });
  await list.restart();
  byId("runs-part").hidden = !list.rows.length;
  byId("more").addEventListener("click", () => setTimeout(() => offer(list.rows), 0));
  offer(list.rows);
  chooseNewest(list.rows);
  byId("choice").addEventListener("submit", (event) => {
    event.preventDefault();
    history.pushState({}, "", `/evaluation?${query({ a: byId("a").value, b: byId("b").value })}`);
    compare();
  });
  const showLinked = () => {
    const linked = new URLSearchParams(location.search);
    byId("comparison").hidden = !linked.get("a");
    if (!linked.get("a") || !linked.get("b")) return;
    byId("choice").hidden = false;
    for (const id of ["a", "b"]) choose(id, linked.get(id));
    compare({ focus: false });
  };
  window.addEventListener("popstate", showLinked);
  showLinked();
}

start();
