"use strict";
// What all pages share: the token that goes with a sign-in, and the ways to sign in and out.

const CSRF_COOKIE = "rag_csrf";

function csrfToken() {
  const entry = document.cookie.split("; ").find((part) => part.startsWith(`${CSRF_COOKIE}=`));
  return entry ? entry.slice(CSRF_COOKIE.length + 1) : "";
}

function csrfHeaders(method) {
  const token = csrfToken();
  return token && method !== "GET" ? { "X-CSRF-Token": token } : {};
}

function goToSignIn() {
  location.assign(`/sign-in?next=${encodeURIComponent(location.pathname + location.search)}`);
}

// Where to go after signing in: to a page of this server, whatever the link says.
function nextPage() {
  try {
    const wanted = new URL(new URLSearchParams(location.search).get("next") ?? "/", location.origin);
    return wanted.origin === location.origin ? wanted.href : "/";
  } catch {
    return "/";
  }
}

async function signOut() {
  await fetch("/session", { method: "DELETE", headers: csrfHeaders("DELETE") });
  location.assign("/sign-in");
}

function offerSignOut(button) {
  button.hidden = !csrfToken();
  button.addEventListener("click", signOut);
}
