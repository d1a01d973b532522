// An answer with all that it rests on, and the card of one that is still being made.
import { make, marked, say } from "/static/elements.js";
import { feedbackSection } from "/static/feedback.js";
import { citationLink, passageItem } from "/static/passages.js";
import { confidenceLevel, confidenceWords, countWords } from "/static/words.js";

const CLOSEST_SHOWN = 3;
export const NOT_THERE = "Not in these documents.";

/** Where in the answer the numbers of its citations go: after the last character that comes from each. */
function citationEnds({ answer, citations, spans }) {
  const cited = spans.filter(({ citation }) => citation !== null);
  const ends = cited.filter(({ citation }, at) => cited[at + 1]?.citation !== citation);
  if (ends.length) return ends.map((span) => [span.answer_end, span.citation]);
  return citations.map((_, index) => [Array.from(answer).length, index]);
}

/** The answer's words, with the numbers of its citations, and underlined what no passage says. */
function answerWords(answer) {
  const characters = Array.from(answer.answer); // offsets are code points
  const parts = [];
  let at = 0;
  const write = (end) => {
    const ranges = answer.unsupported.map(([from, to]) => [from - at, to - at]);
    parts.push(...marked(characters.slice(at, end).join(""), ranges, "u"));
    at = end;
  };
  for (const [end, index] of citationEnds(answer)) {
    write(end);
    parts.push(make("sup", { children: [citationLink(answer.citations[index], index + 1)] }));
  }
  write(characters.length);
  return parts;
}

function confidenceLine(answer) {
  const fill = make("span", { className: confidenceLevel(answer.confidence) });
  const percent = Math.round(answer.confidence * 100);
  fill.style.width = `${percent}%`;
  const bar = make("span", {
    className: "bar",
    attributes: {
      role: "meter",
      "aria-label": "Confidence in percent",
      "aria-valuemin": 0,
      "aria-valuemax": 100,
      "aria-valuenow": percent,
    },
    children: [fill],
  });
  return make("div", {
    className: "confidence row",
    children: [bar, make("span", { text: confidenceWords(answer) })],
  });
}

/** The passages that are cited, each with its citations; where the answer is withheld, the closest ones. */
function evidenceItems(answer) {
  if (answer.abstained) return answer.passages.slice(0, CLOSEST_SHOWN).map((passage) => passageItem(passage));
  return answer.passages.flatMap((passage) => {
    const numbers = [...answer.citations.keys()].filter((at) => answer.citations[at].passage_id === passage.id);
    if (!numbers.length) return [];
    const citations = numbers.map((at) => answer.citations[at]);
    return [passageItem(passage, { citations, numbers: numbers.map((at) => at + 1) })];
  });
}

function evidenceSection(answer) {
  const items = evidenceItems(answer);
  if (!items.length) return [];
  const title = make("h3", { text: answer.abstained ? "The closest passages" : "Where it says so" });
  return [make("section", { children: [title, make("ol", { className: "passages", children: items })] })];
}

function allPassages(answer) {
  if (!answer.passages.length) return [];
  const words = `All ${countWords(answer.passages.length, "passage")} read, with scores`;
  const items = answer.passages.map((passage, at) => {
    const citations = answer.citations.filter((citation) => citation.passage_id === passage.id);
    return passageItem(passage, { citations, isWhole: true, place: `${at + 1}. ` });
  });
  const list = make("ol", { className: "passages", children: items });
  return [make("details", { children: [make("summary", { text: words }), list] })];
}

function understoodLine(answer) {
  if (!answer.standalone_question) return [];
  return [make("p", { className: "quiet understood", text: `Understood as: ${answer.standalone_question}` })];
}

function notesOf(answer) {
  const notes = answer.notes.map((note) => make("li", { text: note }));
  return notes.length ? [make("ul", { className: "plain-list notes", attributes: { "aria-label": "Notes" }, children: notes })] : [];
}

/** The answer in a line, for a summary. */
export const shortAnswer = (answer) => (answer.abstained ? NOT_THERE : answer.answer);

/** What a screen reader is told of an answer. */
export const announcementOf = (answer) => [shortAnswer(answer), confidenceWords(answer), ...answer.notes].join(" ");

/** The card of a logged answer. */
export function answerCard(answer) {
  const titleId = `asked-${answer.id}`;
  const words = answer.abstained ? [NOT_THERE] : answerWords(answer);
  const footnote = `Answer ${answer.id} · ${Math.round(answer.timings_ms.total)} ms · ${answer.model} · logged`;
  return make("article", {
    className: answer.abstained ? "answer-card card abstained" : "answer-card card",
    attributes: { "aria-labelledby": titleId },
    children: [
      make("h2", { className: "asked", text: answer.question, attributes: { id: titleId } }),
      ...understoodLine(answer),
      make("p", { className: "answer", children: words }),
      confidenceLine(answer),
      ...notesOf(answer),
      ...evidenceSection(answer),
      feedbackSection(answer.id),
      ...allPassages(answer),
      make("p", { className: "quiet footnote", text: footnote }),
    ],
  });
}

/** The card of an answer that is being made: {card, onPassages, onToken}. */
export function pendingCard(question) {
  const answer = make("p", { className: "answer" });
  const progress = make("p", { className: "status" });
  const found = make("ol", { className: "plain-list found quiet" });
  say(progress, "Searching the documents…", { busy: true });
  const card = make("article", {
    className: "answer-card card pending",
    attributes: { "aria-label": "The answer being made", "aria-busy": "true" },
    children: [make("h2", { className: "asked", text: question }), answer, progress, found],
  });
  return {
    card,
    onPassages(passages) {
      const titles = [...new Set(passages.map(({ title }) => title))];
      say(progress, `Reading ${countWords(passages.length, "passage")} of ${countWords(titles.length, "document")}…`, { busy: true });
      found.replaceChildren(...titles.map((title) => make("li", { text: title })));
    },
    onToken(text) {
      answer.append(text);
    },
  };
}
