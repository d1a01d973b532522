// Everything that was logged of one answer.
import { byId, make, marked, say } from "/static/elements.js";
import { decimal, milliseconds, moment, NOTHING, percent } from "/static/format.js";
import { fetchJson } from "/static/session.js";
import { details } from "/static/tables.js";
import { confidenceLevel, documentPath, placeWords } from "/static/words.js";

const SCORES = {
  confidence: "confidence",
  answerability: "answerability",
  faithfulness: "faithfulness",
  answer_relevancy: "answer relevancy",
  context_precision: "context precision",
};
const PASSAGE_SCORES = { relevance: "relevance", fused: "both legs", keyword: "keyword (BM25)", vector: "vector (cosine)" };

const isSynthetic = ({ origin }) => (origin === "synthetic" ? [make("span", { className: "chip", text: "synthetic" })] : []);

function meter(name, value) {
  const attributes = { min: 0, max: 1, value, "aria-label": name };
  return make("div", {
    className: "score",
    children: [
      make("dt", { text: name }),
      make("dd", { children: [make("meter", { className: confidenceLevel(value), attributes }), make("span", { text: decimal(value) })] }),
    ],
  });
}

function scoreList({ confidence, scores }) {
  const known = { confidence, ...scores };
  const names = [...Object.keys(SCORES), ...Object.keys(known).filter((name) => !(name in SCORES))];
  const shown = names.filter((name) => typeof known[name] === "number");
  return make("dl", { className: "scores", children: shown.map((name) => meter(SCORES[name] ?? name, known[name])) });
}

function citation(cited, at) {
  return make("li", {
    children: [
      make("blockquote", { text: cited.quote }),
      make("p", {
        className: "quiet",
        children: [
          `[${at + 1}] `,
          make("a", { text: cited.title, attributes: { href: documentPath(cited) } }),
          ` ${placeWords(cited)} `,
          ...isSynthetic(cited),
        ],
      }),
    ],
  });
}

function passage(hit, at, { citations, onWrongPassage }) {
  const cited = citations.filter((one) => one.passage_id === hit.id);
  const ranges = cited.map(({ start, end }) => [start - hit.start, end - hit.start]);
  const relevance = hit.scores.relevance === null ? "" : ` · ${percent(hit.scores.relevance)} relevant`;
  const wrong = make("button", { text: "This should not have been read", attributes: { type: "button" } });
  wrong.addEventListener("click", () => onWrongPassage(hit.id));
  const scores = Object.entries(PASSAGE_SCORES).map(([name, words]) => {
    const rank = hit.scores[`${name}_rank`];
    const value = hit.scores[name];
    return [words, value === null ? null : `${value.toFixed(3)}${rank ? `, place ${rank}` : ""}`];
  });
  return make("li", {
    children: [
      make("details", {
        attributes: cited.length ? { open: "" } : {},
        children: [
          make("summary", {
            children: [
              make("strong", { text: `${at + 1} · ${hit.title}` }),
              make("span", { className: "quiet", text: `${relevance}${cited.length ? " · cited" : ""}` }),
            ],
          }),
          make("p", { className: "quiet", children: [[...hit.headings, placeWords(hit)].filter(Boolean).join(" › "), " ", ...isSynthetic(hit)] }),
          make("p", { className: "passage-words", children: marked(hit.text, ranges) }),
          details(scores),
          make("div", {
            className: "row",
            children: [make("a", { text: "In its document", attributes: { href: documentPath(hit) } }), wrong],
          }),
        ],
      }),
    ],
  });
}

function said({ rating, comment, corrected_answer, wrong_passage_id, is_review, user_id, created_at }) {
  const verb = is_review ? "reviewed" : "rated";
  const words = [
    comment,
    corrected_answer && `should be: ${corrected_answer}`,
    wrong_passage_id !== null && `wrong passage: ${wrong_passage_id}`,
  ].filter(Boolean);
  return make("li", {
    children: [
      make("span", { className: rating < 0 ? "chip warning" : "chip good", text: `${verb} ${rating < 0 ? "bad" : "good"}` }),
      ` ${words.join(" · ")} `,
      make("span", { className: "quiet", children: [user_id ?? "", " ", moment(created_at)] }),
    ],
  });
}

function folded(title, children, { open = false } = {}) {
  return make("details", {
    className: "folded",
    attributes: open ? { open: "" } : {},
    children: [make("summary", { children: [make("h3", { text: title })] }), ...children],
  });
}

function asWords(value) {
  return typeof value === "object" && value !== null ? JSON.stringify(value) : String(value ?? NOTHING);
}

function origins(answer) {
  return details([
    ["answer", String(answer.id)],
    ["asked", moment(answer.created_at)],
    ["asked by", answer.user_id],
    ["collection", answer.collection],
    ["dataset", answer.dataset],
    ["conversation", answer.conversation_id === null ? null : String(answer.conversation_id)],
    ["builds on answer", answer.based_on_answer_id === null ? null : String(answer.based_on_answer_id)],
    ["model", answer.model],
    ["its weights (SHA-256)", answer.model_sha256],
    ["embedding model", answer.embedding_model],
    ["index change", String(answer.index_change_id)],
  ]);
}

function replayPart(answer) {
  const result = make("p", { className: "status", attributes: { role: "status" } });
  const button = make("button", { text: "Run it again", attributes: { type: "button" } });
  button.addEventListener("click", async () => {
    button.disabled = true;
    say(result, "Asking the same question again…", { busy: true });
    try {
      const again = await fetchJson(`/v1/answers/${answer.id}/replay`, { method: "POST" });
      say(result, again.same ? "The same words again." : ["Other words now.", ...again.reasons].join(" "));
    } catch (error) {
      say(result, error.message);
    } finally {
      button.disabled = false;
    }
  });
  return make("div", { children: [button, result] });
}

/** Show an answer as it was logged; `onWrongPassage` is called with the id of a passage that is called wrong. */
export function showLogged(answer, { onWrongPassage }) {
  byId("asked").textContent = answer.question;
  const understood = answer.standalone_question
    ? [make("p", { className: "quiet", text: `Understood as: ${answer.standalone_question}` })]
    : [];
  const words = answer.abstained ? "Not answered: the documents do not say." : null;
  byId("answer-part").replaceChildren(
    ...understood,
    words
      ? make("p", { className: "answer-words withheld", text: words })
      : make("p", { className: "answer-words", children: marked(answer.answer, answer.unsupported, "u") }),
    ...answer.notes.map((note) => make("p", { className: "quiet", text: note })),
    ...(answer.citations.length ? [make("ol", { className: "citations plain-list", children: answer.citations.map(citation) })] : []),
    scoreList(answer),
  );
  const passages = answer.passages.map((hit, at) => passage(hit, at, { citations: answer.citations, onWrongPassage }));
  const settings = Object.entries(answer.settings).map(([name, value]) => [name, asWords(value)]);
  byId("logged-part").replaceChildren(
    ...(answer.feedback.length ? [folded("What was said of it", [make("ul", { className: "said plain-list", children: answer.feedback.map(said) })], { open: true })] : []),
    folded(`Passages that were read (${answer.passages.length})`, [make("ol", { className: "passages plain-list", children: passages })], { open: true }),
    folded("Where it comes from", [origins(answer), replayPart(answer)]),
    folded("Timings", [details(Object.entries(answer.timings_ms).map(([stage, value]) => [stage, milliseconds(value)]))]),
    folded("Settings", [details(settings)]),
    folded("Scores, as they were given", [
      details(answer.all_scores.map(({ metric, value, scorer, scorer_version }) => [metric, `${value.toFixed(3)} by ${scorer} ${scorer_version}`])),
    ]),
  );
}
