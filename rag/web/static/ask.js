// The Ask page: a conversation with the documents. What is asked goes on with the conversation that is open.
import { announcementOf, answerCard, pendingCard, shortAnswer } from "/static/answer-card.js";
import { ask } from "/static/answer-stream.js";
import { fetchCollections } from "/static/collections.js";
import { showConversations, startConversations } from "/static/conversations.js";
import { byId, make, option, say } from "/static/elements.js";
import { chosenFilters, startFilters } from "/static/filters.js";
import { fetchJson } from "/static/session.js";
import { countWords } from "/static/words.js";

let conversationId = null; // the conversation that is open; null before its first answer
let turns = []; // its answers with their cards, oldest first
let opening = null; // a promise: the page has what its link names
let asking = null; // what stops the answer that is being made; null when there is none

const chosenCollection = () => byId("collection").value || "default";

function complain(text) {
  byId("problem").textContent = text;
}

// The conversation: the last answer in full, those before it to be opened, newest first.

function earlierTurn({ answer, card }) {
  const summary = make("summary", {
    children: [
      make("span", { className: "earlier-question", text: answer.question }),
      make("span", { className: "earlier-answer", text: shortAnswer(answer) }),
    ],
  });
  return make("details", { className: "earlier", children: [summary, card] });
}

function showTurns(...above) {
  const [last, ...earlier] = [...turns].reverse();
  const current = above.length ? above : last ? [last.card] : [];
  const before = above.length ? [last, ...earlier].filter(Boolean) : earlier;
  byId("current").replaceChildren(...current);
  byId("earlier-list").replaceChildren(...before.map(earlierTurn));
  byId("earlier").hidden = !before.length;
  byId("introduction").hidden = turns.length > 0 || above.length > 0;
  byId("question").placeholder = turns.length ? "Ask a follow-up, or something else" : "What do you want to know?";
}

function add(answer) {
  turns.push({ answer, card: answerCard(answer) });
  conversationId = answer.conversation_id;
}

async function openConversation(id) {
  const conversation = await fetchJson(`/v1/conversations/${id}`);
  conversation.answers.forEach(add);
  byId("collection").value = conversation.collection;
  showTurns();
}

// Another collection is another conversation, and one that is deleted is not gone on with.
function leaveConversation() {
  conversationId = null;
  turns = [];
  history.replaceState(null, "", `/?${new URLSearchParams({ collection: chosenCollection() })}`);
  showTurns();
  showConversations(null).catch((error) => complain(error.message));
}

// Asking.

function setAsking(controller) {
  asking = controller;
  const hadFocus = [byId("ask-button"), byId("stop-button")].includes(document.activeElement);
  byId("ask-button").hidden = controller !== null;
  byId("stop-button").hidden = controller === null;
  if (hadFocus) byId(controller ? "stop-button" : "question").focus();
}

function readQuestion() {
  const question = byId("question").value;
  if (!question.trim()) throw new Error("The question is empty; ask something.");
  const links = conversationId === null ? { conversation: true } : { conversation_id: conversationId };
  return { question, collection: chosenCollection(), filters: chosenFilters(), ...links };
}

async function makeAnswer(signal) {
  await opening; // what is asked goes on with the conversation that the link named
  const asked = readQuestion();
  const pending = pendingCard(asked.question);
  showTurns(pending.card);
  byId("announcement").textContent = "Searching the documents…";
  add(await ask(asked, { ...pending, signal }));
  byId("question").value = "";
  history.replaceState(null, "", `/?conversation=${conversationId}`);
  byId("announcement").textContent = announcementOf(turns.at(-1).answer);
  showConversations(conversationId).catch((error) => complain(error.message));
}

async function submit(event) {
  event.preventDefault();
  if (asking) return;
  complain("");
  say(byId("status"), "");
  byId("announcement").textContent = "";
  const controller = new AbortController();
  setAsking(controller);
  try {
    await makeAnswer(controller.signal);
  } catch (error) {
    if (error.name === "AbortError") say(byId("status"), "Stopped.");
    else complain(error.message);
  } finally {
    setAsking(null);
    showTurns();
  }
}

function stop() {
  asking?.abort();
}

// Keys: Enter asks, Escape stops, / goes back to the question.

function onQuestionKey(event) {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  byId("ask-form").requestSubmit();
}

function onKey(event) {
  if (event.key === "Escape") stop();
  const writing = ["INPUT", "TEXTAREA", "SELECT"].includes(event.target.tagName);
  if (event.key !== "/" || writing || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  byId("question").focus();
  byId("question").select();
}

// Starting up.

async function loadCollections(wanted) {
  const offered = await fetchCollections();
  if (!offered.length) {
    say(byId("status"), "There are no documents yet. Put some in with: rag ingest PATH");
    return;
  }
  byId("collection").replaceChildren(
    ...offered.map(({ name, num_documents }) => {
      const entry = option(name, `${name} (${countWords(num_documents, "document")})`);
      entry.selected = name === wanted;
      return entry;
    }),
  );
  byId("collection").disabled = false;
}

// A link may open a conversation, /?conversation=…, or bring a question along: /?question=…&collection=…
async function open(linked) {
  try {
    await loadCollections(linked.get("collection") ?? "default");
    if (linked.get("conversation")) await openConversation(linked.get("conversation"));
    await showConversations(conversationId);
  } catch (error) {
    complain(error.message);
  }
}

function start() {
  const linked = new URLSearchParams(location.search);
  opening = open(linked);
  if (!linked.get("question")) return;
  byId("question").value = linked.get("question");
  byId("ask-form").requestSubmit();
}

byId("ask-form").addEventListener("submit", submit);
byId("stop-button").addEventListener("click", stop);
byId("question").addEventListener("keydown", onQuestionKey);
byId("collection").addEventListener("change", leaveConversation);
document.addEventListener("keydown", onKey);
startConversations(complain, leaveConversation);
startFilters(chosenCollection);
start();
