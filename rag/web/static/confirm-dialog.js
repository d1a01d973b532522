// Asking before something is taken away for good.
import { make } from "/static/elements.js";

/**
 * Ask, and do it where the answer is yes. `act` may throw; its sentence is then shown, and the question stays.
 *
 * `title` is the question, `words` what follows from it; `yes` and `no` are the buttons' words. The first focus is on no.
 */
export function askBefore({ title, words, yes, no, act }) {
  const heading = make("h2", { text: title, attributes: { id: "confirm-title" } });
  const problem = make("p", { className: "problem", attributes: { role: "alert" } });
  const keep = make("button", { text: no, attributes: { type: "button" } });
  const go = make("button", { className: "danger", text: yes, attributes: { type: "button" } });
  const dialog = make("dialog", {
    attributes: { "aria-labelledby": "confirm-title" },
    children: [heading, make("p", { text: words }), problem, make("div", { className: "row", children: [keep, go] })],
  });
  keep.addEventListener("click", () => dialog.close());
  go.addEventListener("click", async () => {
    go.disabled = true;
    problem.textContent = "";
    try {
      await act();
      dialog.close();
    } catch (error) {
      problem.textContent = error.message;
    } finally {
      go.disabled = false;
    }
  });
  dialog.addEventListener("close", () => dialog.remove());
  document.querySelector("main").append(dialog);
  dialog.showModal();
  keep.focus();
}
