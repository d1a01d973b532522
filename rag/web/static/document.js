// A document in one of its versions, with a range of it marked: /documents/7?version=2&start=558&end=594
import { byId, make, marked, say } from "/static/elements.js";
import { fetchJson } from "/static/session.js";
import { countWords, momentWords, originWords, placeWords, sourceWords } from "/static/words.js";

const documentId = location.pathname.split("/").at(-1);
let shown = null; // the document as the server sent it
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

// The text: a block for each section, which say the page or row and the headings.

/** The whole text in blocks: [{words, start, section}]. Sections leave out white space between them; blocks do not. */
function blocksOf({ text, sections }) {
  const characters = Array.from(text); // offsets are code points
  const starts = sections.map(({ start }, at) => (at === 0 ? 0 : start));
  if (!starts.length) return [{ words: text, start: 0, section: null }];
  return starts.map((start, at) => ({
    words: characters.slice(start, starts[at + 1]).join(""),
    start,
    section: sections[at],
  }));
}

function whereWords({ section }) {
  return section ? [placeWords(section), section.headings.join(" › ")].filter(Boolean).join(" · ") : "";
}

function blockElement(block, isLabelled) {
  const range = current ? [[current[0] - block.start, current[1] - block.start]] : [];
  const words = marked(block.words, range, "mark", { tabindex: "-1" });
  const where = isLabelled ? [make("span", { className: "where", text: whereWords(block) })] : [];
  return make("section", { children: [...where, make("p", { className: "words", children: words })] });
}

function showText() {
  const blocks = blocksOf(shown);
  const elements = blocks.map((block, at) => {
    const where = whereWords(block);
    return blockElement(block, where !== "" && (at === 0 || where !== whereWords(blocks[at - 1])));
  });
  byId("text").replaceChildren(...elements);
}

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
  current = range;
  showText();
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
  mark(quote, { focus: true });
}

byId("previous").addEventListener("click", () => step(-1));
byId("next").addEventListener("click", () => step(1));
byId("back").addEventListener("click", () => go(quote));
start();
