// The Review page: which of its views is shown, and moving from answer to answer.
import { fetchCollections } from "/static/collections.js";
import { byId, say } from "/static/elements.js";
import { Judgement } from "/static/judgement.js";
import { showLogged } from "/static/logged-answer.js";
import { fillForm, offerCollections, query, valuesOf } from "/static/paged-list.js";
import { markJudged, markOpen, reviewList } from "/static/review-list.js";
import { fetchJson, hasRole, whoAmI } from "/static/session.js";
import { showTime } from "/static/usage.js";
import { showUnanswered } from "/static/unanswered.js";
import { chosenView } from "/static/views.js";

const KEYS_SETTING = "review-keys";
const parameters = () => new URLSearchParams(location.search);
const view = chosenView("queue");
let list = null;
let opened = null; // the id of the answer that is shown
let turn = 0;

const judgement = new Judgement({ form: byId("judgement"), onSaved: goOnAfter });

// The address names what is shown, so that it can be sent to somebody.

function address(answerId) {
  const values = view === "answers" ? valuesOf(byId("filters")) : {};
  if (values.sort === "-created_at") delete values.sort;
  const words = query({ view: view === "queue" ? "" : view, ...values, answer: answerId });
  return words ? `/review?${words}` : "/review";
}

async function open(answerId, { remember = true, focus = true } = {}) {
  turn += 1;
  const mine = turn;
  if (remember) history[opened === null ? "pushState" : "replaceState"]({}, "", address(answerId));
  opened = answerId;
  byId("panes").classList.add("opened");
  byId("detail-problem").textContent = "";
  markOpen(byId("answers"), answerId);
  say(byId("detail-status"), "Loading…", { busy: true });
  try {
    const answer = await fetchJson(`/v1/answers/${answerId}`);
    if (mine !== turn) return;
    showLogged(answer, { onWrongPassage: (passageId) => judgement.nameWrong(passageId) });
    judgement.begin(answer);
    byId("detail").hidden = false;
    if (focus) {
      byId("asked").focus({ preventScroll: true });
      if (byId("detail-pane").getBoundingClientRect().top < 0) byId("detail-pane").scrollIntoView();
    }
  } catch (error) {
    if (mine !== turn) return;
    byId("detail").hidden = true;
    byId("detail-problem").textContent = error.message;
  } finally {
    if (mine === turn) say(byId("detail-status"), "");
  }
  enableMoves();
}

function close({ remember = true } = {}) {
  if (opened === null) return;
  turn += 1;
  const last = opened;
  opened = null;
  byId("panes").classList.remove("opened");
  byId("detail").hidden = true;
  say(byId("detail-status"), "");
  byId("detail-problem").textContent = "";
  if (remember) history.pushState({}, "", address(null));
  markOpen(byId("answers"), null);
  byId("answers").querySelector(`[data-answer="${last}"]`)?.focus();
  enableMoves();
}

function placeOf(answerId) {
  return list.rows.findIndex((row) => row.answer_id === answerId);
}

function enableMoves() {
  const place = placeOf(opened);
  byId("previous").disabled = place < 1;
  byId("next").disabled = place + 1 >= list.rows.length && list.next === null;
}

async function move(by) {
  const wanted = placeOf(opened) + by;
  if (wanted >= list.rows.length) await list.readOn();
  if (wanted < 0 || wanted >= list.rows.length) {
    say(byId("detail-status"), by > 0 ? "That was the last one." : "That was the first one.");
    return;
  }
  await open(list.rows[wanted].answer_id);
}

async function goOnAfter(feedback) {
  markJudged(byId("answers"), feedback);
  // Saved where no list leads on: it stays, with what was just said of it.
  if (placeOf(opened) + 1 >= list.rows.length && list.next === null) {
    await open(opened, { remember: false, focus: false });
    say(byId("detail-status"), "Saved. That was the last one.");
  } else {
    await move(1);
  }
}

function onKey(event) {
  const typing = event.target.closest("textarea, select, input:not([type='radio'], [type='checkbox'])");
  if (typing || !byId("use-keys").checked || event.ctrlKey || event.metaKey || event.altKey) return;
  const acts = {
    n: () => move(1),
    p: () => move(-1),
    g: () => opened !== null && judgement.rate("good"),
    b: () => opened !== null && judgement.rate("bad"),
  };
  if (!Object.hasOwn(acts, event.key)) return;
  event.preventDefault();
  acts[event.key]();
}

async function startList() {
  byId("panes").hidden = false;
  byId("filters").hidden = view !== "answers";
  fillForm(byId("filters"), parameters());
  byId("more-filters").open = [...parameters().keys()].some((name) => !["view", "answer", "words", "sort"].includes(name));
  list = reviewList(view, { onOpen: open });
  byId("filters").addEventListener("submit", async (event) => {
    event.preventDefault();
    close({ remember: false });
    history.pushState({}, "", address(null));
    await list.restart();
    enableMoves();
  });
  byId("sort").addEventListener("change", () => byId("filters").requestSubmit());
  byId("filters").addEventListener("reset", () => setTimeout(() => byId("filters").requestSubmit()));
  byId("back").addEventListener("click", () => close());
  byId("next").addEventListener("click", () => move(1));
  byId("previous").addEventListener("click", () => move(-1));
  byId("use-keys").checked = localStorage.getItem(KEYS_SETTING) !== "off";
  byId("use-keys").addEventListener("change", () =>
    localStorage.setItem(KEYS_SETTING, byId("use-keys").checked ? "on" : "off"),
  );
  document.addEventListener("keydown", onKey);
  window.addEventListener("popstate", () => {
    const wanted = Number(parameters().get("answer"));
    if (wanted) open(wanted, { remember: false });
    else close({ remember: false });
  });
  const wanted = Number(parameters().get("answer"));
  await Promise.all([list.restart(), wanted ? open(wanted, { remember: false, focus: false }) : null]);
  markOpen(byId("answers"), opened);
  enableMoves();
}

async function start() {
  try {
    const caller = await whoAmI();
    if (!hasRole(caller, "reviewer")) {
      throw new Error(`This page needs the role reviewer, and your key's is ${caller.role}; ask an administrator for one.`);
    }
    const collections = await fetchCollections();
    for (const id of ["collection", "unanswered-collection", "time-collection"]) offerCollections(byId(id), collections);
    if (view === "time") await showTime();
    else if (view === "unanswered") await showUnanswered();
    else await startList();
  } catch (error) {
    byId("problem").textContent = error.message;
  }
}

start();
