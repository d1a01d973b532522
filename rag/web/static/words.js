// Words for what is shown of answers, passages and documents.

const LIKELY = 0.8;
const EVEN = 0.5;

/** A source as people read it: a file's path, or the URI as it is. */
export function sourceWords(source) {
  if (!source.startsWith("file://")) return source;
  try {
    return decodeURIComponent(source.slice("file://".length));
  } catch {
    return source;
  }
}

export function placeWords({ page, row }) {
  if (page !== null) return `page ${page}`;
  return row !== null ? `row ${row}` : "";
}

export const originWords = ({ origin }) => (origin === "synthetic" ? "synthetic document" : "");

/** A passage's document and the headings that it stands under. */
export function headingWords({ title, headings }) {
  return [title, ...headings.filter((heading) => heading !== title)].join(" › ");
}

export function momentWords(moment) {
  return new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" }).format(new Date(moment));
}

/** A moment in short: the time if it was today, otherwise the day. */
export function dayWords(moment) {
  const then = new Date(moment);
  const isToday = then.toDateString() === new Date().toDateString();
  return new Intl.DateTimeFormat(undefined, isToday ? { timeStyle: "short" } : { dateStyle: "medium" }).format(then);
}

export const countWords = (count, one, many = `${one}s`) => `${count} ${count === 1 ? one : many}`;

/** How sure an answer is, in three steps: high, middle, low. */
export const confidenceLevel = (confidence) => (confidence >= LIKELY ? "high" : confidence >= EVEN ? "middle" : "low");

export function confidenceWords({ abstained, confidence, confidence_kind: kind, unsupported }) {
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

/** Where a range of a document is shown with the range marked. Offsets count Unicode code points. */
export function documentPath({ document_id: id, document_version: version, start, end }) {
  return `/documents/${id}?${new URLSearchParams({ version, start, end })}`;
}
