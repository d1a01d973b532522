// The Documents page: what is in a collection, taking something out of it, and the runs that filled it.
import { fetchCollections } from "/static/collections.js";
import { askBefore } from "/static/confirm-dialog.js";
import { byId, make, option } from "/static/elements.js";
import { moment } from "/static/format.js";
import { showRuns } from "/static/ingestion-runs.js";
import { fillForm, offerCollections, PagedList, query, valuesOf } from "/static/paged-list.js";
import { fetchJson, hasRole, whoAmI } from "/static/session.js";
import { details } from "/static/tables.js";
import { offerUpload } from "/static/upload.js";
import { chosenView } from "/static/views.js";
import { countWords, sourceWords } from "/static/words.js";

const view = chosenView("documents");
let list = null;
let mayDelete = false;

const documentLink = (id, text, version) =>
  make("a", { text, attributes: { href: `/documents/${id}${version ? `?version=${version}` : ""}` } });

const nameOf = ({ title, source }) => title || sourceWords(source);

const pairs = (values) => Object.entries(values).map(([name, value]) => `${name}: ${value}`).join(" · ");

function chips(found) {
  const words = [
    found.origin === "synthetic" && ["synthetic", "chip"],
    found.duplicate_of !== null && [`the same words as document ${found.duplicate_of}`, "chip warning"],
    found.near_duplicate_of !== null && [`nearly repeats document ${found.near_duplicate_of}`, "chip warning"],
    found.deleted_at !== null && ["deleted", "chip warning"],
    found.version > 1 && [`version ${found.version}`, "chip accent"],
    ...found.access_labels.map((label) => [`only for ${label}`, "chip"]),
  ];
  return words.filter(Boolean).map(([text, className]) => make("span", { className, text }));
}

function row(found) {
  const about = make("button", { text: "Details", attributes: { type: "button", "aria-label": `Details of ${found.title}` } });
  about.addEventListener("click", () => tellAbout(found));
  const acts = [about];
  if (mayDelete && found.deleted_at === null) {
    const remove = make("button", { className: "danger", text: "Delete", attributes: { type: "button", "aria-label": `Delete ${found.title}` } });
    remove.addEventListener("click", () => askToDelete(found));
    acts.push(remove);
  }
  return make("li", {
    className: found.deleted_at === null ? "" : "gone",
    children: [
      make("div", {
        children: [
          make("span", { className: "title", children: [documentLink(found.id, nameOf(found))] }),
          make("div", { className: "quiet", children: [sourceWords(found.source), " · ", moment(found.updated_at)] }),
          make("div", { className: "row", children: chips(found) }),
        ],
      }),
      make("div", { className: "acts", children: acts }),
    ],
  });
}

async function versionList(found) {
  try {
    const { versions } = await fetchJson(`/v1/documents/${found.id}/versions?limit=100`);
    return make("ul", {
      className: "versions plain-list",
      children: versions.map(({ version, title, created_at, num_chars }) =>
        make("li", {
          children: [
            documentLink(found.id, `Version ${version}`, version),
            make("span", { className: "quiet", children: [` ${title} · `, moment(created_at), ` · ${countWords(num_chars, "character")}`] }),
          ],
        }),
      ),
    });
  } catch (error) {
    return make("p", { className: "problem", text: error.message });
  }
}

let toldAbout = null; // the document whose details are open

async function tellAbout(found) {
  toldAbout = found;
  const repeated = found.duplicate_of ?? found.near_duplicate_of;
  byId("about-title").textContent = nameOf(found);
  byId("about-words").replaceChildren(
    details([
      ["source", sourceWords(found.source)],
      ["file", found.file === found.source ? null : sourceWords(found.file)],
      ["type", found.media_type],
      ["origin", found.origin],
      ["access labels", found.access_labels.join(", ") || "none: for everyone"],
      ["tags", pairs(found.tags)],
      ["metadata", pairs(found.metadata)],
      [found.duplicate_of === null ? "nearly repeats" : "has the words of", repeated === null ? null : documentLink(repeated, `document ${repeated}`)],
      ["added", moment(found.created_at)],
      ["changed", moment(found.updated_at)],
      ["deleted", found.deleted_at === null ? null : moment(found.deleted_at)],
      ["SHA-256 of its text", found.text_sha256],
    ]),
    make("h3", { text: "Versions" }),
  );
  byId("about").showModal();
  const versions = await versionList(found);
  if (toldAbout === found) byId("about-words").append(versions);
}

const askToDelete = (found) =>
  askBefore({
    title: `Delete “${nameOf(found)}”?`,
    words: "No search finds it any more. Answers that cite it keep their words, and so do its versions.",
    yes: "Delete it",
    no: "Keep it",
    act: async () => {
      await fetchJson(`/v1/documents/${found.id}`, { method: "DELETE" });
      await list.restart();
      byId("list-status").textContent = `“${nameOf(found)}” is deleted.`;
    },
  });

/** What the filters say, as the route takes it. */
function asked() {
  const { origin, words, ...values } = valuesOf(byId("filters"));
  return { ...values, contains: words, filter: origin ? `origin=${origin}` : "", newest_first: "true", limit: 50 };
}

function documentList() {
  return new PagedList({
    list: byId("list"),
    more: byId("more"),
    status: byId("list-status"),
    problem: byId("list-problem"),
    empty: "There is no such document here.",
    load: async (cursor) => {
      if (!byId("collection").value) return { rows: [], next: null };
      const page = await fetchJson(`/v1/documents?${query({ ...asked(), cursor })}`);
      return { rows: page.documents, next: page.next };
    },
    row,
  });
}

/** Offer the collections that there are; `wanted` is chosen. */
async function readCollections(wanted) {
  byId("collection").replaceChildren();
  offerCollections(byId("collection"), await fetchCollections());
  if ([...byId("collection").options].some(({ value }) => value === wanted)) byId("collection").value = wanted;
  byId("collections").replaceChildren(...[...byId("collection").options].map(({ value }) => option(value, value)));
}

async function showUploaded(collection) {
  await readCollections(collection);
  await list.restart();
}

async function showDocuments(caller) {
  byId("documents-view").hidden = false;
  mayDelete = hasRole(caller, "contributor");
  const linked = new URLSearchParams(location.search);
  await readCollections(linked.get("collection") ?? "default");
  const { value } = byId("collection");
  fillForm(byId("filters"), linked);
  byId("collection").value = value;
  list = documentList();
  if (mayDelete) offerUpload({ collection: value || "default", onUploaded: showUploaded });
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  byId("filters").addEventListener("change", () => {
    history.replaceState({}, "", `/documents?${query(valuesOf(byId("filters")))}`);
    list.restart();
  });
  await list.restart();
}

async function start() {
  try {
    const caller = await whoAmI();
    byId("runs-link").hidden = !hasRole(caller, "contributor"); // they name files that not everybody may see
    if (view === "runs") await showRuns();
    else await showDocuments(caller);
  } catch (error) {
    byId("problem").textContent = error.message;
  }
}

start();
