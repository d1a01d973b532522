// Passages of documents, with what is cited marked, where they stand, and their scores.
import { make, marked } from "/static/elements.js";
import { documentPath, headingWords, originWords, placeWords, sourceWords } from "/static/words.js";

const SHOWN_BEFORE_QUOTE = 240; // code points: a few lines
const SHOWN_AFTER_QUOTE = 240;
const SHOWN_WITHOUT_QUOTE = 320;
const SCORES = ["relevance", "fused", "keyword", "vector"];

/** Where a piece may end without cutting a word: the next white space at or after `at`, in the direction of `step`. */
function wordBorder(characters, at, step) {
  let border = at;
  while (border > 0 && border < characters.length && !/\s/.test(characters[border])) border += step;
  return border;
}

/** The lines around what is cited, or the first lines where nothing is, and where they start in the passage. */
function excerptOf(text, ranges) {
  const characters = Array.from(text);
  const first = ranges.length ? Math.min(...ranges.map(([start]) => start)) : 0;
  const last = ranges.length ? Math.max(...ranges.map(([, end]) => end)) : 0;
  const after = ranges.length ? SHOWN_AFTER_QUOTE : SHOWN_WITHOUT_QUOTE;
  const from = wordBorder(characters, Math.max(0, first - SHOWN_BEFORE_QUOTE), -1);
  const to = wordBorder(characters, Math.min(characters.length, last + after), 1);
  return { text: characters.slice(from, to).join(""), start: from, isCut: to < characters.length };
}

function wordsOf(passage, citations, isWhole) {
  const ranges = citations.map(({ start, end }) => [start - passage.start, end - passage.start]);
  const shown = isWhole ? { text: passage.text, start: 0, isCut: false } : excerptOf(passage.text, ranges);
  const inside = ranges.map(([start, end]) => [start - shown.start, end - shown.start]);
  const words = marked(shown.text, inside);
  return make("p", {
    className: "words",
    children: [shown.start > 0 ? "…" : "", ...words, shown.isCut ? " …" : ""],
  });
}

/** The number of a citation, as a link to the quote in its document. */
export function citationLink(citation, number) {
  const place = [citation.title, placeWords(citation)].filter(Boolean).join(", ");
  return make("a", {
    className: "cite",
    text: String(number),
    attributes: { href: documentPath(citation), "aria-label": `Quote ${number}: ${place}`, title: place },
  });
}

function scoresOf(passage) {
  const shown = SCORES.map((name) => {
    const value = passage.scores[name];
    const rank = passage.scores[`${name}_rank`];
    const words = value === null ? "–" : value.toFixed(3);
    return make("div", {
      children: [make("dt", { text: name }), make("dd", { text: rank ? `${words} (no. ${rank})` : words })],
    });
  });
  return make("dl", { className: "scores", children: shown });
}

function copiesOf(passage) {
  const others = passage.also_in
    .map((other) => [other.title, originWords(other) && `(${originWords(other)})`].filter(Boolean).join(" "))
    .join(", ");
  return make("p", { className: "quiet", text: `The same words stand in: ${others}` });
}

/**
 * A passage as an item of a list, linked to its document. `citations`: those that lie in it, marked; `numbers`: what
 * they are called. `isWhole`: all of its words rather than an excerpt, with its scores.
 */
export function passageItem(passage, { citations = [], numbers = [], isWhole = false, place = "" } = {}) {
  const target = citations[0] ?? passage;
  const title = make("p", {
    className: "title",
    children: [
      ...numbers.map((number, at) => citationLink(citations[at], number)),
      place,
      make("a", { text: headingWords(passage), attributes: { href: documentPath(target) } }),
    ],
  });
  const where = [originWords(passage), placeWords(passage), sourceWords(passage.source)].filter(Boolean).join(" · ");
  return make("li", {
    children: [
      title,
      make("p", { className: "quiet where", text: where }),
      wordsOf(passage, citations, isWhole),
      ...(isWhole ? [scoresOf(passage)] : []),
      ...(isWhole && passage.also_in.length ? [copiesOf(passage)] : []),
    ],
  });
}
