// What a person says of an answer. A thumb opens the form, its button sends both at once, so that one opinion is one
// row of the log.
import { make, say } from "/static/elements.js";
import { fetchJson } from "/static/session.js";

function thumbButton(name, className) {
  return make("button", {
    className,
    attributes: { type: "button", "aria-pressed": "false" },
    children: [make("span", { className: "thumb-picture" }), name],
  });
}

function field(label, id) {
  return [
    make("label", { text: label, attributes: { for: id } }),
    make("input", { attributes: { id, type: "text", autocomplete: "off" } }),
  ];
}

/** The thumbs of an answer with their form. */
export function feedbackSection(answerId) {
  const up = thumbButton("Yes", "thumb up");
  const down = thumbButton("No", "thumb down");
  const status = make("span", { className: "quiet", attributes: { role: "status" } });
  const [commentLabel, comment] = field("Comment (optional)", `comment-${answerId}`);
  const [correctionLabel, correction] = field("What should it have said? (optional)", `correction-${answerId}`);
  const send = make("button", { text: "Send", attributes: { type: "submit" } });
  const form = make("form", {
    className: "fields",
    children: [commentLabel, comment, correctionLabel, correction, send],
  });
  let rating = 0; // the thumb that is pressed: 1, -1, or 0 for none

  function press(value) {
    rating = value;
    up.setAttribute("aria-pressed", String(value === 1));
    down.setAttribute("aria-pressed", String(value === -1));
    form.hidden = value === 0;
    correction.hidden = correctionLabel.hidden = value !== -1;
    if (value === 0) form.reset();
  }

  function choose(value) {
    press(rating === value ? 0 : value);
    say(status, "");
    if (rating) comment.focus();
  }

  async function sendFeedback(event) {
    event.preventDefault();
    const feedback = { rating, comment: comment.value.trim() || null };
    if (rating === -1) feedback.corrected_answer = correction.value.trim() || null;
    send.disabled = true;
    try {
      await fetchJson(`/v1/answers/${answerId}/feedback`, { method: "POST", body: feedback });
      press(0);
      const pressed = feedback.rating === 1 ? up : down;
      pressed.setAttribute("aria-pressed", "true");
      pressed.focus();
      say(status, "Thank you, it is in the log.");
    } catch (error) {
      say(status, error.message);
    } finally {
      send.disabled = false;
    }
  }

  press(0);
  up.addEventListener("click", () => choose(1));
  down.addEventListener("click", () => choose(-1));
  form.addEventListener("submit", sendFeedback);
  const question = make("span", { text: "Was this right?" });
  return make("section", {
    className: "feedback",
    attributes: { "aria-label": "Feedback" },
    children: [make("div", { className: "row", children: [question, up, down, status] }), form],
  });
}
