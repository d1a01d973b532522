// Lists that the server gives page by page, and the forms that narrow them down.
import { option, say } from "/static/elements.js";

/** A query string of those values that are not empty; a list gives its name several times. */
export function query(values) {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== "" && one !== null && one !== undefined) parameters.append(name, one);
    }
  }
  return parameters.toString();
}

/** What the named fields of a form hold, without the empty ones. No name may be one that forms have, as `contains`. */
export function valuesOf(form) {
  return Object.fromEntries([...new FormData(form)].filter(([, value]) => value !== "").map(([n, v]) => [n, v.trim()]));
}

/** Put values into the named fields of a form; what is not named becomes empty. */
export function fillForm(form, values) {
  for (const field of form.elements) {
    if (field.name) field.value = values.get(field.name) ?? field.dataset.usual ?? "";
  }
}

/** Offer collections in a select, below what it offers already. */
export function offerCollections(select, collections) {
  select.append(...collections.map(({ name }) => option(name, name)));
}

/**
 * A list in an element: `load(cursor)` gives {rows, next}, `row(entry)` an element for an entry.
 *
 * Entries are in `rows`. A reply that comes after the list has begun anew is dropped.
 */
export class PagedList {
  constructor({ list, more, status, problem, load, row, empty }) {
    Object.assign(this, { list, more, status, problem, load, row, empty });
    this.rows = [];
    this.next = null;
    this.turn = 0;
    more.addEventListener("click", () => this.readOn());
  }

  async restart() {
    this.turn += 1;
    this.rows = [];
    this.next = null;
    this.more.hidden = true;
    this.list.replaceChildren();
    await this._read("");
  }

  async readOn() {
    if (this.next !== null) await this._read(this.next);
  }

  async _read(cursor) {
    const turn = this.turn;
    this.more.disabled = true;
    this.problem.textContent = "";
    say(this.status, "Loading…", { busy: true });
    try {
      const { rows, next } = await this.load(cursor);
      if (turn !== this.turn) return;
      this.rows.push(...rows);
      this.next = next;
      this.list.append(...rows.map((entry) => this.row(entry)));
      say(this.status, this.rows.length ? "" : this.empty);
    } catch (error) {
      if (turn !== this.turn) return;
      say(this.status, "");
      this.problem.textContent = error.message;
    } finally {
      if (turn === this.turn) {
        this.more.hidden = this.next === null;
        this.more.disabled = false;
      }
    }
  }
}
