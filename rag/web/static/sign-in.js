"use strict";
// The page to sign in on: the key is sent once, and a cookie that scripts cannot read stands for it afterwards.

const byId = (id) => document.getElementById(id);

async function signIn(event) {
  event.preventDefault();
  byId("problem").textContent = "";
  byId("sign-in-button").disabled = true;
  try {
    const response = await fetch("/session", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ key: byId("key").value }),
    });
    if (response.ok) {
      location.replace(nextPage());
      return;
    }
    byId("problem").textContent = (await response.json()).detail;
    byId("key").select();
  } catch {
    byId("problem").textContent = "The server cannot be reached; check that it is running.";
  } finally {
    byId("sign-in-button").disabled = false;
  }
}

byId("sign-in-form").addEventListener("submit", signIn);
