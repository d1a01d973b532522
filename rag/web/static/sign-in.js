// The page to sign in on: the key is sent once, and a cookie that scripts cannot read stands for it afterwards.
import { byId } from "/static/elements.js";
import { request } from "/static/session.js";

// Where to go after signing in: to a page of this server, whatever the link says.
function nextPage() {
  try {
    const wanted = new URL(new URLSearchParams(location.search).get("next") ?? "/", location.origin);
    return wanted.origin === location.origin ? wanted.href : "/";
  } catch {
    return "/";
  }
}

async function signIn(event) {
  event.preventDefault();
  byId("problem").textContent = "";
  byId("sign-in-button").disabled = true;
  try {
    await request("/session", { method: "POST", body: { key: byId("key").value }, toSignIn: false });
    location.replace(nextPage());
  } catch (error) {
    byId("problem").textContent = error.message;
    byId("key").select();
  } finally {
    byId("sign-in-button").disabled = false;
  }
}

byId("sign-in-form").addEventListener("submit", signIn);
