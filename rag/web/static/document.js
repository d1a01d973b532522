// A document in one of its versions, with a range of it marked: /documents/7?version=2&start=558&end=594
import { byId, make, marked, say } from "/static/elements.js";
import { fetchJson } from "/static/session.js";
import { countWords, momentWords, originWords, placeWords, sourceWords } from "/static/words.js";

const PIECE = 2000; // code points: a screenful
const documentId = location.pathname.split("/").at(-1);
let shown = null; // the document as the server sent it
let blocks = []; // its text as it is shown
let quote = null; // the range that the link named: [start, end] in code points
let current = null; // the range that is marked

/** A number of the query; null where it is missing or none. */
function queryNumber(query, name) {
  const text = query.get(name) ?? "";
  return /^\d+$/.test(text) ? Number(text) : null;
}

function queryRange(query) {
  const [start, end] = [queryNumber(query, "start"), queryNumber(query, "end")];
  return start === null || end === null || end <= start ? null : [start, end];
}

// The text in blocks: none longer than a few paragraphs, so that marking another range touches one or two of them.

const whereWords = (section) => [placeWords(section), section.headings.join(" › ")].filter(Boolean).join(" · ");

/** Where a stretch of text is cut: after the first line end beyond each PIECE code points. */
function cuts(characters, start, end) {
  const places = [start];
  for (;;) {
    const lineEnd = characters.indexOf("\n", places.at(-1) + PIECE);
    if (lineEnd < 0 || lineEnd + 1 >= end) return places;
    places.push(lineEnd + 1);
  }
}

/** The whole text: [{words, start, end, where}], `where` empty but at the beginning of a page, row or heading. */
function blocksOf({ text, sections }) {
  const characters = Array.from(text); // offsets are code points
  // Sections leave out the white space between them; blocks do not.
  const borders = sections.length ? sections.map(({ start }, at) => (at === 0 ? 0 : start)) : [0];
  let told = "";
  return borders.flatMap((from, at) => {
    const to = borders[at + 1] ?? characters.length;
    const where = sections.length ? whereWords(sections[at]) : "";
    const places = cuts(characters, from, to);
    const isNew = where !== told;
    told = where;
    return places.map((start, piece) => {
      const end = places[piece + 1] ?? to;
      const words = characters.slice(start, end).join("");
      return { words, start, end, where: isNew && piece === 0 ? where : "" };
    });
  });
}

/** Put a block's words into its element, with what of the marked range lies in it. */
function fill({ words, start, element }) {
  const range = current ? [[current[0] - start, current[1] - start]] : [];
  element.replaceChildren(...marked(words, range, "mark", { tabindex: "-1" }));
}

function showText() {
  blocks = blocksOf(shown).map((block) => ({ ...block, element: make("p", { className: "words" }) }));
  blocks.forEach(fill);
  byId("text").replaceChildren(
    ...blocks.flatMap(({ where, element }) => [...(where ? [make("p", { className: "where", text: where })] : []), element]),
  );
}

const lies = (range, { start, end }) => range !== null && range[0] < end && range[1] > start;

// From passage to passage.

/** The passage that the marked range begins in; -1 where there is none. */
function currentPassage() {
  if (!current) return -1;
  return shown.passages.findLastIndex(({ start }) => start <= current[0]);
}

function showPlace() {
  const at = currentPassage();
  byId("previous").disabled = at <= 0;
  byId("next").disabled = at + 1 >= shown.passages.length;
  byId("back").hidden = !quote || (current[0] === quote[0] && current[1] === quote[1]);
  const words = at >= 0 ? `Passage ${at + 1} of ${shown.passages.length}` : countWords(shown.passages.length, "passage");
  byId("place").textContent = at >= 0 ? [words, placeWords(shown.passages[at])].filter(Boolean).join(" · ") : words;
}

function mark(range, { focus = false } = {}) {
  const before = current;
  current = range;
  blocks.filter((block) => lies(before, block) || lies(range, block)).forEach(fill);
  if (shown.passages.length) showPlace();
  const first = byId("text").querySelector("mark");
  if (!first) return;
  first.scrollIntoView({ block: "center" });
  if (focus) first.focus({ preventScroll: true });
}

function go(range) {
  const query = new URLSearchParams({ version: shown.version, start: range[0], end: range[1] });
  history.replaceState(history.state, "", `${location.pathname}?${query}`);
  mark(range);
}

function step(by) {
  const { start, end } = shown.passages[currentPassage() + by];
  go([start, end]);
}

// What is known of the document.

function showFacts() {
  const { title, source, media_type: mediaType, tags, collection, deleted_at: deletedAt } = shown;
  document.title = `${title} · Ask your documents`;
  byId("title").textContent = title;
  byId("source").textContent = sourceWords(source);
  const facts = [collection, mediaType, ...Object.entries(tags).map(([name, value]) => `${name}=${value}`)];
  const warnings = [originWords(shown), deletedAt && `deleted ${momentWords(deletedAt)}`].filter(Boolean);
  byId("facts").replaceChildren(
    ...facts.map((fact) => make("span", { className: "chip", text: fact })),
    ...warnings.map((warning) => make("span", { className: "chip warning", text: warning })),
  );
}

function showVersion() {
  const { version, current_version: currentVersion } = shown;
  byId("version").hidden = currentVersion === 1;
  const link = make("a", { text: `show version ${currentVersion}`, attributes: { href: location.pathname } });
  const isCurrent = version === currentVersion;
  byId("version").replaceChildren(
    isCurrent ? `Version ${version}, the current one.` : `This is version ${version}; the document has changed since: `,
    ...(isCurrent ? [] : [link]),
  );
}

async function start() {
  const query = new URLSearchParams(location.search);
  const version = queryNumber(query, "version");
  say(byId("status"), "Opening the document…", { busy: true });
  try {
    shown = await fetchJson(`/v1/documents/${documentId}${version === null ? "" : `?version=${version}`}`);
  } catch (error) {
    byId("problem").textContent = error.message;
    return;
  } finally {
    say(byId("status"), "");
  }
  quote = queryRange(query);
  showFacts();
  showVersion();
  byId("places").hidden = !shown.passages.length;
  byId("document").hidden = false;
  showText();
  mark(quote, { focus: true });
}

byId("previous").addEventListener("click", () => step(-1));
byId("next").addEventListener("click", () => step(1));
byId("back").addEventListener("click", () => go(quote));
start();
