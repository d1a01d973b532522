// Asking the server, as whoever is signed in: the one way in which pages do it.

const CSRF_COOKIE = "rag_csrf";
const ROLES = ["reader", "contributor", "reviewer", "administrator"]; // each may do what those before it may

/** What the server refused: `message` is a sentence for people, `status` the HTTP status, 0 where it was not reached. */
export class Refused extends Error {
  constructor(message, status) {
    super(message);
    this.name = "Refused";
    this.status = status;
  }
}

export function csrfToken() {
  const entry = document.cookie.split("; ").find((part) => part.startsWith(`${CSRF_COOKIE}=`));
  return entry ? entry.slice(CSRF_COOKIE.length + 1) : "";
}

export const isSignedIn = () => csrfToken() !== "";

export const signInPath = () => `/sign-in?next=${encodeURIComponent(location.pathname + location.search)}`;

async function refusalOf(response) {
  try {
    const problem = await response.json(); // RFC 9457: its detail is a sentence that says what to change
    if (problem.detail) return new Refused(problem.detail, response.status);
  } catch {
    // Not JSON: a proxy's page, say.
  }
  return new Refused(`The server refused with status ${response.status}.`, response.status);
}

/**
 * Ask the server; the response, which is a good one. For what is not JSON: streams and files.
 *
 * `body`: FormData goes as it is, anything else as JSON. Without a sign-in where one is needed, the page is left for
 * the one to sign in on. Throws Refused; an AbortError where `signal` says so.
 */
export async function request(path, { method = "GET", body, headers = {}, signal, toSignIn = true } = {}) {
  const sent = { ...headers };
  if (method !== "GET" && isSignedIn()) sent["X-CSRF-Token"] = csrfToken();
  let content = body;
  if (body !== undefined && !(body instanceof FormData)) {
    sent["Content-Type"] = "application/json";
    content = JSON.stringify(body);
  }
  let response;
  try {
    response = await fetch(path, { method, body: content, headers: sent, signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused("The server cannot be reached; check that it is running.", 0);
  }
  if (response.status === 401 && toSignIn) location.assign(signInPath());
  if (!response.ok) throw await refusalOf(response);
  return response;
}

/** Ask the server for JSON; null where it sends nothing. Takes and throws what `request` does. */
export async function fetchJson(path, options = {}) {
  const response = await request(path, options);
  if (response.status === 204) return null;
  try {
    return await response.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(`The server's reply (status ${response.status}) cannot be read.`, response.status);
  }
}

let caller = null;

/**
 * Who asks: {user_id, role, collections, access_labels}. The server is asked once for each page. Throws Refused, with
 * the status 401 where nobody is signed in who must be: some pages are for everyone.
 */
export function whoAmI() {
  caller ??= fetchJson("/session", { toSignIn: false });
  return caller;
}

/** Whether a caller (see whoAmI) has a role or a higher one: reader, contributor, reviewer, administrator. */
export const hasRole = ({ role }, needed) => ROLES.indexOf(role) >= ROLES.indexOf(needed);

export async function signOut() {
  await request("/session", { method: "DELETE", toSignIn: false });
  location.assign("/sign-in");
}
