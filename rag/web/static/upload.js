// Uploading files, one after the other, each with its progress and what became of it.
import { byId, make, say } from "/static/elements.js";
import { size } from "/static/format.js";
import { failuresOf, follow, progressWords } from "/static/ingestion-runs.js";
import { csrfToken, isSignedIn, Refused } from "/static/session.js";
import { countWords, sourceWords } from "/static/words.js";

const WAITS_MS = [1000, 4000]; // before each new attempt, where a file did not get through

const waiting = [];
let isUploading = false;
let numDone = 0;
let numAll = 0;

/** A key that no other upload has (crypto.randomUUID is there on HTTPS and loopback only). */
const newKey = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

/** Send a form; fetch does not tell how much of a body has gone out, so this one way asks in another. */
function sendOnce(form, key, onProgress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", "/v1/documents");
    request.setRequestHeader("Idempotency-Key", key);
    if (isSignedIn()) request.setRequestHeader("X-CSRF-Token", csrfToken());
    request.responseType = "json";
    request.upload.addEventListener("progress", ({ loaded, total }) => onProgress(loaded, total));
    request.addEventListener("error", () =>
      reject(new Refused("The server cannot be reached; check that it is running.", 0)),
    );
    request.addEventListener("load", () => {
      const { status, response } = request;
      if (status >= 200 && status < 300 && response) resolve({ status, response });
      else reject(new Refused(response?.detail ?? `The server refused with status ${status}.`, status));
    });
    request.send(form);
  });
}

/** Send a form, again where the server was not reached: by its key the same upload is not done twice. */
async function send(form, onProgress) {
  const key = newKey();
  for (const wait of WAITS_MS) {
    try {
      return await sendOnce(form, key, onProgress);
    } catch (error) {
      if (error.status !== 0) throw error;
      await new Promise((resolve) => setTimeout(resolve, wait));
    }
  }
  return sendOnce(form, key, onProgress);
}

const partsOf = (id) => byId(id).value.split(",").map((part) => part.trim()).filter(Boolean);

function formOf({ file, collection, origin, labels, tags }) {
  const form = new FormData();
  form.append("file", file);
  form.append("collection", collection);
  form.append("origin", origin);
  for (const label of labels) form.append("access_labels", label);
  for (const tag of tags) form.append("tags", tag);
  return form;
}

function line(file) {
  const progress = make("progress", { attributes: { max: 1, value: 0, "aria-label": `Progress of ${file.name}` } });
  const state = make("span", { className: "quiet", text: "waiting" });
  const outcome = make("div", { className: "outcome" });
  const element = make("li", {
    children: [make("span", { children: [make("strong", { text: file.name }), make("span", { className: "quiet", text: ` ${size(file.size)}` })] }), state, progress, outcome],
  });
  return { element, progress, state, outcome };
}

function end(shown, words, className, ...more) {
  shown.progress.remove();
  shown.state.textContent = className === "done" ? "done" : "refused";
  shown.outcome.replaceChildren(make("p", { className, text: words }), ...more);
}

const reasons = (list) =>
  make("ul", { className: "failures plain-list", children: list.map(({ source, reason }) => make("li", { text: `${sourceWords(source)}: ${reason}` })) });

function endAtOnce(shown, { documents, partly_read: lost }) {
  const words = `${countWords(documents.length, "document")}: ${documents.map(({ title, source }) => title || source).join(", ")}`;
  const versions = documents.some(({ version }) => version > 1) ? " (a new version)" : "";
  end(shown, words + versions, "done", ...(lost.length ? [reasons(lost)] : []));
}

async function endInBackground(shown, run) {
  const ended = await follow(run, (now) => {
    shown.state.textContent = now.status;
    shown.outcome.textContent = progressWords(now);
  });
  const failures = ended.num_refused ? [reasons(await failuresOf(ended.id))] : [];
  const isGood = ended.status === "finished" && ended.num_refused === 0;
  end(shown, `Run ${ended.id}, ${ended.status}: ${progressWords(ended)}`, isGood ? "done" : "refused", ...failures);
}

async function uploadOne({ shown, ...sent }) {
  try {
    const { status, response } = await send(formOf(sent), (loaded, total) => {
      const share = total ? loaded / total : 0;
      shown.progress.value = share;
      shown.state.textContent = `${Math.round(share * 100)}% sent`;
      if (loaded < total) return;
      shown.progress.removeAttribute("value"); // how long the reading takes is not known
      shown.state.textContent = "being read";
    });
    if (status === 202) await endInBackground(shown, response);
    else endAtOnce(shown, response);
  } catch (error) {
    end(shown, error.message, "refused");
  }
}

async function uploadAll(onUploaded) {
  if (isUploading) return;
  isUploading = true;
  let collection = "";
  while (waiting.length) {
    say(byId("upload-status"), `Uploading ${numDone + 1} of ${countWords(numAll, "file")}…`, { busy: true });
    const next = waiting.shift();
    collection = next.collection;
    await uploadOne(next);
    numDone += 1;
  }
  isUploading = false;
  say(byId("upload-status"), `${countWords(numDone, "file")} sent.`);
  await onUploaded(collection);
}

function take(files, onUploaded) {
  const collection = byId("into").value.trim() || "default";
  const [labels, tags] = [partsOf("labels"), partsOf("tags")];
  if (!isUploading) [numDone, numAll] = [0, 0];
  for (const file of files) {
    const shown = line(file);
    byId("uploads").prepend(shown.element);
    waiting.push({ file, collection, origin: byId("origin").value, labels, tags, shown });
    numAll += 1;
  }
  uploadAll(onUploaded);
}

/** Offer to upload into a collection; `onUploaded` is called with the last one when all files have been sent. */
export function offerUpload({ collection, onUploaded }) {
  const [drop, files] = [byId("drop"), byId("files")];
  byId("upload").hidden = false;
  byId("into").value = collection;
  byId("upload-form").addEventListener("submit", (event) => event.preventDefault());
  files.addEventListener("change", () => {
    take([...files.files], onUploaded);
    files.value = "";
  });
  for (const kind of ["dragenter", "dragover"]) {
    drop.addEventListener(kind, (event) => {
      event.preventDefault();
      drop.classList.add("over");
    });
  }
  drop.addEventListener("dragleave", (event) => {
    if (!drop.contains(event.relatedTarget)) drop.classList.remove("over");
  });
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    take([...event.dataTransfer.files], onUploaded);
  });
}
