// An answer as it is made: server-sent events (WHATWG HTML, section 9.2), read from a response to a POST.
import { Refused, request } from "/static/session.js";

const END_OF_EVENT = /\r?\n\r?\n/;

/** One event: {name, data}; null for a comment, which only keeps the connection alive. */
function parseEvent(block) {
  let name = "message";
  const data = [];
  for (const line of block.split(/\r?\n/)) {
    const [, field, value] = line.match(/^([^:]*):? ?(.*)$/s);
    if (field === "event") name = value;
    if (field === "data") data.push(value);
  }
  return data.length ? { name, data: JSON.parse(data.join("\n")) } : null;
}

async function* eventsOf(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const blocks = (rest + value).split(END_OF_EVENT);
      rest = blocks.pop();
      yield* blocks.map(parseEvent).filter(Boolean);
    }
  } finally {
    reader.cancel().catch(() => {}); // it may have broken off by itself
  }
}

/**
 * Ask, and return the logged answer. What comes before it is told as it comes: `onPassages(passages)` once they are
 * found, `onToken(text)` for each piece of the answer. Throws Refused; an AbortError where `signal` says so, and the
 * server then gives the work up.
 */
export async function ask(question, { signal, onPassages, onToken }) {
  const response = await request("/v1/answers", { method: "POST", body: { ...question, stream: true }, signal });
  try {
    for await (const { name, data } of eventsOf(response.body)) {
      if (name === "passages") onPassages(data.passages);
      else if (name === "token") onToken(data.text);
      else if (name === "error") throw new Refused(data.detail, data.status);
      else if (name === "answer") return data;
    }
  } catch (error) {
    if (error.name === "AbortError" || error instanceof Refused) throw error;
    throw new Refused("The connection broke off while the answer was being made; ask again.", 0);
  }
  throw new Refused("The answer broke off before its end; ask again.", 0);
}
