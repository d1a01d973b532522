"use strict";
// The Ask page. Whatever comes from documents or people is set as text, never as HTML.

const byId = (id) => document.getElementById(id);
let shown = null;

function element(tag, text, className) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

async function call(method, path, body) {
  const response = await fetch(path, {
    method,
    headers: body ? { "Content-Type": "application/json" } : {},
    body: body ? JSON.stringify(body) : undefined,
  });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.detail || `The server answered ${response.status}.`);
  return answer;
}

function say(message, isError) {
  byId("status").textContent = message;
  byId("status").className = isError ? "error" : "";
}

function place(record) {
  if (record.page !== null) return `page ${record.page}`;
  return record.row !== null ? `row ${record.row}` : "";
}

function readableSource(source) {
  if (!source.startsWith("file://")) return source;
  return decodeURIComponent(source.slice("file://".length));
}

// The API counts code points, the browser UTF-16 units: an array of the text's characters has one place for each.
function markedText(passage, citations) {
  const characters = Array.from(passage.text);
  const paragraph = element("p", undefined, "clipped");
  const ranges = citations
    .filter((citation) => citation.passage_id === passage.id)
    .map((citation) => [citation.start - passage.start, citation.end - passage.start])
    .sort((a, b) => a[0] - b[0]);
  let at = 0;
  for (const [start, end] of ranges) {
    paragraph.append(characters.slice(at, start).join(""));
    paragraph.append(element("mark", characters.slice(start, end).join("")));
    at = end;
  }
  paragraph.append(characters.slice(at).join(""));
  return paragraph;
}

function passageCard(passage, citations, heading) {
  const card = element("article", undefined, "card");
  card.append(element("h2", heading));
  card.append(element("span", [readableSource(passage.source), place(passage)].filter(Boolean).join(", "), "hint"));
  card.append(markedText(passage, citations));
  return card;
}

function scoreLine(scores) {
  const parts = Object.entries(scores)
    .filter(([, value]) => value !== null)
    .map(([name, value]) => `${name} ${value.toFixed(3)}`);
  return element("span", parts.join(" · "), "hint");
}

function confidenceWords(answer) {
  if (answer.abstained) return "Not confident enough to answer";
  if (answer.confidence >= 0.7) return "Confident";
  return answer.confidence >= 0.4 ? "Fairly confident" : "Not very confident";
}

function show(answer) {
  shown = answer;
  byId("answer").textContent = answer.abstained ? "Not in these documents." : answer.answer;
  byId("answer").className = answer.abstained ? "answer abstained" : "answer";
  byId("confidence").value = answer.confidence;
  byId("confidence-words").textContent = `${confidenceWords(answer)} (${Math.round(answer.confidence * 100)}%)`;
  byId("timing").textContent = `${Math.round(answer.timings_ms.total)} ms`;

  const cited = new Set(answer.citations.map((citation) => citation.passage_id));
  byId("citations").replaceChildren(
    ...answer.passages
      .filter((passage) => cited.has(passage.id))
      .map((passage) => passageCard(passage, answer.citations, passage.title)),
  );
  byId("passages-title").textContent = answer.abstained
    ? `The ${answer.passages.length} closest passages`
    : `All ${answer.passages.length} passages that were read`;
  byId("passages").replaceChildren(
    ...answer.passages.map((passage, index) => {
      const heading = [`${index + 1}. ${passage.title}`, ...passage.headings.slice(-1)].join(" › ");
      const card = passageCard(passage, answer.citations, heading);
      card.append(scoreLine(passage.scores));
      if (passage.also_in.length) {
        card.append(element("span", `Also in: ${passage.also_in.map((other) => other.title).join(", ")}`, "hint"));
      }
      return card;
    }),
  );
  byId("passages-box").open = answer.abstained;
  for (const id of ["up", "down"]) byId(id).setAttribute("aria-pressed", "false");
  byId("comment").value = "";
  byId("thanks").textContent = "";
  byId("result").hidden = false;
}

async function ask(event) {
  event.preventDefault();
  const question = byId("question").value.trim();
  if (!question) return;
  byId("submit").disabled = true;
  byId("result").hidden = true;
  say("Reading…");
  try {
    show(await call("POST", "/v1/answers", { question, collection: byId("collection").value || "default" }));
    say("");
  } catch (error) {
    say(error.message, true);
  } finally {
    byId("submit").disabled = false;
  }
}

async function rate(rating) {
  const comment = byId("comment").value.trim();
  try {
    await call("POST", `/v1/answers/${shown.id}/feedback`, { rating, comment: comment || null });
    byId("up").setAttribute("aria-pressed", String(rating === 1));
    byId("down").setAttribute("aria-pressed", String(rating === -1));
    byId("thanks").textContent = "Thank you, noted.";
  } catch (error) {
    byId("thanks").textContent = error.message;
  }
}

async function loadCollections() {
  try {
    const { collections } = await call("GET", "/v1/collections");
    const people = collections.filter((collection) => !collection.name.startsWith("evaluation:"));
    byId("collection").replaceChildren(
      ...people.map((collection) => {
        const option = element("option", `${collection.name} (${collection.num_documents} documents)`);
        option.value = collection.name;
        option.selected = collection.name === "default";
        return option;
      }),
    );
    if (!people.length) say("There are no documents yet. Add some with: rag ingest PATH");
  } catch (error) {
    say(error.message, true);
  }
}

byId("ask").addEventListener("submit", ask);
byId("question").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    byId("ask").requestSubmit();
  }
});
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && !["INPUT", "TEXTAREA", "SELECT"].includes(document.activeElement.tagName)) {
    event.preventDefault();
    byId("question").focus();
  }
});
byId("up").addEventListener("click", () => rate(1));
byId("down").addEventListener("click", () => rate(-1));
loadCollections();
