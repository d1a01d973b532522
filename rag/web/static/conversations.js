// The caller's conversations, at the side of the page. Each is a link, so that it opens in another tab as well.
import { askBefore } from "/static/confirm-dialog.js";
import { byId, make } from "/static/elements.js";
import { fetchJson } from "/static/session.js";
import { countWords, dayWords } from "/static/words.js";

const SHOWN_AT_ONCE = 30;
const WIDE = "(min-width: 62rem)";
let following = null; // the cursor of the next page; null on the last one
let left = () => {}; // called when the conversation that is open has been deleted

const askToDelete = (conversation, element, isOpen) =>
  askBefore({
    title: `Delete the conversation “${conversation.first_question}”?`,
    words: "It is gone from this list. Its answers stay in the log, each for itself.",
    yes: "Delete it",
    no: "Keep it",
    act: async () => {
      await fetchJson(`/v1/conversations/${conversation.id}`, { method: "DELETE" });
      element.remove();
      byId("no-conversations").hidden = byId("conversation-list").children.length > 0;
      if (isOpen) left();
    },
  });

function item(conversation, currentId) {
  const link = make("a", {
    attributes: {
      href: `/?conversation=${conversation.id}`,
      "aria-current": conversation.id === currentId ? "true" : null,
    },
    children: [
      make("span", { className: "first-question", text: conversation.first_question }),
      make("span", {
        className: "when",
        text: `${countWords(conversation.num_answers, "answer")} · ${dayWords(conversation.last_answer_at)}`,
      }),
    ],
  });
  const remove = make("button", {
    className: "remove",
    text: "×",
    attributes: { type: "button", title: "Delete", "aria-label": `Delete the conversation ${conversation.first_question}` },
  });
  const element = make("li", { children: [link, remove] });
  remove.addEventListener("click", () => askToDelete(conversation, element, conversation.id === currentId));
  return element;
}

async function fetchPage(cursor) {
  const page = await fetchJson(`/v1/conversations?${new URLSearchParams({ limit: SHOWN_AT_ONCE, cursor })}`);
  following = page.next;
  byId("more-conversations").hidden = following === null;
  return page.conversations;
}

/** Show the newest conversations anew; the one that is open is marked. */
export async function showConversations(currentId) {
  const conversations = await fetchPage("");
  byId("conversation-list").replaceChildren(...conversations.map((conversation) => item(conversation, currentId)));
  byId("no-conversations").hidden = conversations.length > 0;
}

/**
 * Set up the side of the page: it is open where there is room for it. `complain` shows a sentence; `onLeft` is called
 * when the conversation that is open has been deleted.
 */
export function startConversations(complain, onLeft) {
  left = onLeft;
  const wide = matchMedia(WIDE);
  const fit = () => {
    byId("side").open = wide.matches;
  };
  fit();
  wide.addEventListener("change", fit);
  byId("more-conversations").addEventListener("click", async () => {
    try {
      const conversations = await fetchPage(following);
      byId("conversation-list").append(...conversations.map((conversation) => item(conversation, null)));
    } catch (error) {
      complain(error.message);
    }
  });
}
