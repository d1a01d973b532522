// The Ask page. Whatever comes from documents and people is set as text, never as HTML.
import { byId, make, marked, say } from "/static/elements.js";
import { fetchJson } from "/static/session.js";

const CLOSEST_SHOWN = 3;
const LIKELY = 0.8;
const EVEN = 0.5;
let answered = null; // the answer that is shown
let rating = 0; // the thumb that is pressed: 1, -1, or 0 for none

function complain(text) {
  byId("problem").textContent = text;
}

// Words for what is shown.

function sourceWords(source) {
  if (!source.startsWith("file://")) return source;
  try {
    return decodeURIComponent(source.slice("file://".length));
  } catch {
    return source;
  }
}

function placeWords(record) {
  if (record.page !== null) return `page ${record.page}`;
  return record.row !== null ? `row ${record.row}` : "";
}

function originWords(record) {
  return record.origin === "synthetic" ? "synthetic document" : "";
}

function confidenceWords({ abstained, confidence, confidence_kind: kind, unsupported }) {
  const share = confidence < 0.01 ? "under 1%" : `${Math.round(confidence * 100)}%`;
  if (kind === "support") {
    // A language model's answer: how much of it the passages say, which is not how likely it is to be right.
    if (abstained) return `The reply is withheld; the passages say ${share} of it.`;
    return `The passages say ${share} of this${unsupported.length ? "; what is underlined stands in none of them" : ""}`;
  }
  if (abstained) return `The best guess is withheld; its chance of being right is ${share}.`;
  if (confidence >= LIKELY) return `Very likely right (${share})`;
  if (confidence >= EVEN) return `Probably right (${share})`;
  return `Uncertain (${share}): check the quote`;
}

// Passages.

function wordsOf(passage, ranges) {
  const inside = ranges.map(({ start, end }) => [start - passage.start, end - passage.start]);
  return make("p", { className: "words", children: marked(passage.text, inside, "mark") });
}

function listed(passage, ranges, { heading = passage.title, more = [] } = {}) {
  const where = [originWords(passage), placeWords(passage), sourceWords(passage.source)].filter(Boolean).join(" · ");
  return make("li", {
    children: [
      make("p", { className: "title", text: heading }),
      make("p", { className: "quiet", text: where }),
      wordsOf(passage, ranges),
      ...more,
    ],
  });
}

function scoresOf(passage) {
  const named = Object.entries(passage.scores).map(([name, value]) =>
    make("div", {
      children: [make("dt", { text: name }), make("dd", { text: value === null ? "–" : value.toFixed(3) })],
    }),
  );
  const list = make("dl", { children: named });
  if (!passage.also_in.length) return [list];
  const others = passage.also_in
    .map((other) => [other.title, originWords(other) && `(${originWords(other)})`].filter(Boolean).join(" "))
    .join(", ");
  return [list, make("p", { className: "quiet", text: `The same words stand in: ${others}` })];
}

function headingOf(passage) {
  const inner = passage.headings.filter((heading) => heading !== passage.title);
  return [passage.title, ...inner].join(" › ");
}

function showEvidence(answer) {
  const rangesIn = (passage) => answer.citations.filter((citation) => citation.passage_id === passage.id);
  const evidence = answer.abstained
    ? answer.passages.slice(0, CLOSEST_SHOWN)
    : answer.passages.filter((passage) => rangesIn(passage).length);
  byId("evidence-title").textContent = answer.abstained ? "The closest passages" : "Where it says so";
  byId("evidence-list").replaceChildren(
    ...evidence.map((passage) => listed(passage, rangesIn(passage), { heading: headingOf(passage) })),
  );
  byId("evidence").hidden = !evidence.length;

  byId("passages-title").textContent = `All ${answer.passages.length} passages that were read, with their scores`;
  byId("passages-list").replaceChildren(
    ...answer.passages.map((passage, index) =>
      listed(passage, rangesIn(passage), {
        heading: `${index + 1}. ${headingOf(passage)}`,
        more: scoresOf(passage),
      }),
    ),
  );
  byId("passages").hidden = !answer.passages.length;
  byId("passages").open = false;
}

function showBar(confidence) {
  const percent = Math.round(confidence * 100);
  byId("confidence").setAttribute("aria-valuenow", String(percent));
  byId("confidence-fill").style.width = `${percent}%`;
  byId("confidence-fill").className = confidence >= LIKELY ? "high" : confidence >= EVEN ? "middle" : "low";
}

function show(answer) {
  answered = answer;
  byId("asked").textContent = answer.question;
  byId("result").classList.toggle("abstained", answer.abstained);
  if (answer.abstained) byId("answer").textContent = "Not in these documents.";
  else byId("answer").replaceChildren(...marked(answer.answer, answer.unsupported, "u"));
  showBar(answer.confidence);
  byId("confidence-words").textContent = confidenceWords(answer);
  byId("notes").replaceChildren(...answer.notes.map((note) => make("li", { text: note })));
  byId("notes").hidden = !answer.notes.length;
  showEvidence(answer);
  byId("footnote").textContent =
    `Answer ${answer.id} · ${Math.round(answer.timings_ms.total)} ms · ${answer.model} · logged`;
  press(0);
  byId("feedback-status").textContent = "";
  byId("result").hidden = false;
  // The result was hidden until now, and screen readers do not announce what is only being revealed.
  byId("announcement").textContent = [
    byId("answer").textContent,
    byId("confidence-words").textContent,
    ...answer.notes,
  ].join(" ");
}

// Asking.

async function ask(event) {
  event.preventDefault();
  const question = byId("question").value;
  if (byId("ask-button").disabled) return;
  if (!question.trim()) {
    complain("The question is empty; ask something.");
    return;
  }
  byId("ask-button").disabled = true;
  byId("result").hidden = true;
  byId("announcement").textContent = "";
  complain("");
  say(byId("status"), "Reading the documents…", { busy: true });
  try {
    show(await fetchJson("/v1/answers", { method: "POST", body: { question, collection: byId("collection").value || "default" } }));
  } catch (error) {
    complain(error.message);
  } finally {
    say(byId("status"), "");
    byId("ask-button").disabled = false;
  }
}

// Feedback: a thumb opens the form, its button sends both at once, so that one opinion is one row of the log.

function press(value) {
  rating = value;
  byId("up").setAttribute("aria-pressed", String(value === 1));
  byId("down").setAttribute("aria-pressed", String(value === -1));
  byId("feedback-form").hidden = value === 0;
  byId("correction").hidden = byId("correction-label").hidden = value !== -1;
  if (value === 0) byId("feedback-form").reset();
}

function choose(value) {
  press(rating === value ? 0 : value);
  byId("feedback-status").textContent = "";
  if (rating) byId("comment").focus();
}

async function sendFeedback(event) {
  event.preventDefault();
  const feedback = { rating, comment: byId("comment").value.trim() || null };
  if (rating === -1) feedback.corrected_answer = byId("correction").value.trim() || null;
  byId("feedback-button").disabled = true;
  try {
    await fetchJson(`/v1/answers/${answered.id}/feedback`, { method: "POST", body: feedback });
    press(0);
    byId(feedback.rating === 1 ? "up" : "down").setAttribute("aria-pressed", "true");
    byId("feedback-status").textContent = "Thank you, it is in the log.";
  } catch (error) {
    byId("feedback-status").textContent = error.message;
  } finally {
    byId("feedback-button").disabled = false;
  }
}

// Starting up.

async function loadCollections(wanted) {
  const { collections } = await fetchJson("/v1/collections");
  const offered = collections.filter((collection) => !collection.name.startsWith("evaluation:"));
  if (!offered.length) {
    say(byId("status"), "There are no documents yet. Put some in with: rag ingest PATH");
    return;
  }
  byId("collection").replaceChildren(
    ...offered.map(({ name, num_documents }) => {
      const option = make("option", { text: `${name} (${num_documents} ${num_documents === 1 ? "document" : "documents"})` });
      option.value = name;
      option.selected = name === wanted;
      return option;
    }),
  );
  byId("collection").disabled = false;
}

// A link may bring the question along: /?question=…&collection=…
async function start() {
  const linked = new URLSearchParams(location.search);
  try {
    await loadCollections(linked.get("collection") ?? "default");
  } catch (error) {
    complain(error.message);
    return;
  }
  if (linked.get("question")) {
    byId("question").value = linked.get("question");
    byId("ask-form").requestSubmit();
  }
}

byId("ask-form").addEventListener("submit", ask);
byId("question").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    byId("ask-form").requestSubmit();
  }
});
document.addEventListener("keydown", (event) => {
  const writing = ["INPUT", "TEXTAREA", "SELECT"].includes(event.target.tagName);
  if (event.key === "/" && !writing && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    byId("question").focus();
    byId("question").select();
  }
});
byId("up").addEventListener("click", () => choose(1));
byId("down").addEventListener("click", () => choose(-1));
byId("feedback-form").addEventListener("submit", sendFeedback);
start();
