// The form in which a reviewer judges an answer.
import { byId, option, say } from "/static/elements.js";
import { fetchJson } from "/static/session.js";

const WORDS_SHOWN = 60;

function shortened(text) {
  const characters = Array.from(text);
  return characters.length > WORDS_SHOWN ? `${characters.slice(0, WORDS_SHOWN).join("")}…` : text;
}

/** `onSaved` is called with the feedback as it was logged. */
export class Judgement {
  constructor({ form, onSaved }) {
    this.form = form;
    this.onSaved = onSaved;
    this.answer = null;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.save();
    });
    form.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
    });
  }

  /** Begin with another answer, and an empty form. */
  begin(answer) {
    this.answer = answer;
    this.form.reset();
    say(byId("judged"), "");
    byId("wrong-passage").replaceChildren(
      option("", "none"),
      ...answer.passages.map(({ id, title, text }, at) => option(id, shortened(`${at + 1} · ${title}: ${text}`))),
    );
  }

  rate(id) {
    byId(id).checked = true;
    byId(id).focus();
  }

  nameWrong(passageId) {
    byId("wrong-passage").value = String(passageId);
    byId("bad").checked = true;
    byId("comment").focus();
  }

  async save() {
    const given = new FormData(this.form);
    if (!given.get("rating")) {
      say(byId("judged"), "Say good or bad first.");
      byId("good").focus();
      return;
    }
    const text = (name) => given.get(name).trim() || null;
    const body = {
      rating: Number(given.get("rating")),
      comment: text("comment"),
      corrected_answer: text("corrected_answer"),
      wrong_passage_id: given.get("wrong_passage_id") ? Number(given.get("wrong_passage_id")) : null,
      is_review: true,
    };
    byId("save").disabled = true;
    say(byId("judged"), "Saving…", { busy: true });
    try {
      const feedback = await fetchJson(`/v1/answers/${this.answer.id}/feedback`, { method: "POST", body });
      say(byId("judged"), "Saved.");
      await this.onSaved(feedback);
    } catch (error) {
      say(byId("judged"), error.message);
    } finally {
      byId("save").disabled = false;
    }
  }
}
