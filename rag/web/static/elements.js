// Elements of a page. Whatever comes from documents and people is set as text, never as HTML.

export const byId = (id) => document.getElementById(id);

/** A new element: its text, its class, its attributes (null: left out), and what it holds. */
export function make(tag, { text = "", className = "", attributes = {}, children = [] } = {}) {
  const made = document.createElement(tag);
  if (text) made.textContent = text;
  if (className) made.className = className;
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

/** An entry of a select or of a list of suggestions. */
export const option = (value, text = "") => make("option", { text, attributes: { value } });

/**
 * A text with some ranges of it in elements of their own: what to append, in order.
 *
 * Ranges are [start, end] in Unicode code points, as the server counts; strings count UTF-16 units. Array.from gives
 * one entry for each code point. `attributes` goes to the first of the elements.
 */
export function marked(text, ranges, tag = "mark", attributes = {}) {
  const characters = Array.from(text);
  const parts = [];
  let at = 0;
  let wanted = attributes;
  for (const [start, end] of [...ranges].sort((a, b) => a[0] - b[0])) {
    const from = Math.max(at, start);
    const to = Math.min(characters.length, end);
    if (to <= from) continue;
    const words = characters.slice(from, to).join("");
    parts.push(characters.slice(at, from).join(""), make(tag, { text: words, attributes: wanted }));
    wanted = {};
    at = to;
  }
  parts.push(characters.slice(at).join(""));
  return parts;
}

/** Put a sentence into a line of the class `status`, with a turning ring while something is being waited for. */
export function say(line, text, { busy = false } = {}) {
  line.textContent = text;
  line.classList.toggle("busy", busy);
}
