// Which documents a question may be answered from: the form, and the filter that it comes to (docs/retrieval.md).
import { byId, option } from "/static/elements.js";
import { fetchJson } from "/static/session.js";
import { sourceWords } from "/static/words.js";

const COMPARISON = /^([^=<>!]+)(!=|>=|<=|=|>|<)(.*)$/s;
const OPERATORS = { "!=": "$ne", ">": "$gt", ">=": "$gte", "<": "$lt", "<=": "$lte" };
const SUGGESTED_DOCUMENTS = 200; // a list that is still quick to look through
const SEPARATOR = /,(?=[^=<>!,]+[=<>!])/; // a comma within a value does not part two conditions

/** Filters written as text, as `team=ops, year>=2024`. Throws an Error with a sentence. */
export function parseConditions(text) {
  const parts = text.split(SEPARATOR).map((part) => part.trim());
  return parts.filter(Boolean).map((part) => {
    const found = part.match(COMPARISON);
    if (!found) throw new Error(`The filter “${part}” is not of the form name=value (or !=, >, >=, <, <=).`);
    const [name, operator, value] = found.slice(1).map((piece) => piece.trim());
    return { [name]: operator === "=" ? value : { [OPERATORS[operator]]: value } };
  });
}

/** What the form asks for, as the server takes it: {} where it asks for nothing. Throws an Error with a sentence. */
export function chosenFilters() {
  const conditions = ["origin", "media_type", "source"]
    .map((name) => [name, byId(`filter-${name}`).value.trim()])
    .filter(([, value]) => value)
    .map(([name, value]) => ({ [name]: value }));
  conditions.push(...parseConditions(byId("filter-tags").value));
  if (conditions.length <= 1) return conditions[0] ?? {};
  return { $and: conditions };
}

function showCount() {
  const fields = ["origin", "media_type", "source", "tags"];
  const used = fields.filter((name) => byId(`filter-${name}`).value.trim());
  byId("filters-title").textContent = used.length ? `Filters (${used.length} in use)` : "Filters";
  byId("clear-filters").hidden = !used.length;
}

let suggestedFor = null; // the collection that the suggestions are of

async function suggest(collection) {
  if (suggestedFor === collection) return;
  suggestedFor = collection;
  const query = new URLSearchParams({ collection, limit: SUGGESTED_DOCUMENTS });
  const { documents } = await fetchJson(`/v1/documents?${query}`);
  const pairs = documents.flatMap(({ tags }) => Object.entries(tags).map(([name, value]) => `${name}=${value}`));
  byId("known-sources").replaceChildren(
    ...documents.map(({ source, title }) => option(source, `${title} · ${sourceWords(source)}`)),
  );
  byId("known-tags").replaceChildren(...[...new Set(pairs)].sort().map((pair) => option(pair)));
}

/** Set up the form. `collection` tells which one is chosen; suggestions are fetched when the form is opened. */
export function startFilters(collection) {
  const form = byId("filters");
  form.addEventListener("toggle", () => {
    // Without suggestions the fields can be filled all the same.
    if (form.open) suggest(collection()).catch(() => { suggestedFor = null; });
  });
  form.addEventListener("input", showCount);
  byId("clear-filters").addEventListener("click", () => {
    for (const field of form.querySelectorAll("input, select")) field.value = "";
    showCount();
    byId("filter-origin").focus();
  });
}
