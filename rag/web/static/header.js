// The header of every page: where one can go, for the role that one has.
import { make } from "/static/elements.js";
import { hasRole, isSignedIn, signInPath, signOut, whoAmI } from "/static/session.js";

const PAGES = [
  { path: "/", name: "Ask", role: "reader" },
  { path: "/review", name: "Review", role: "reviewer" },
  { path: "/documents", name: "Documents", role: "reader" },
  { path: "/evaluation", name: "Evaluation", role: "reviewer" },
  { path: "/docs", name: "API", role: "reader" },
];

const isHere = (path) => location.pathname === path || (path !== "/" && location.pathname.startsWith(`${path}/`));

function link({ path, name }) {
  const attributes = { href: path, "aria-current": isHere(path) ? "page" : null };
  return make("li", { children: [make("a", { text: name, attributes })] });
}

function signInItem() {
  return make("li", { className: "last", children: [make("a", { text: "Sign in", attributes: { href: signInPath() } })] });
}

function signOutItem() {
  const button = make("button", { text: "Sign out", attributes: { type: "button" } });
  button.addEventListener("click", signOut);
  return make("li", { className: "last", children: [button] });
}

/** Fill the element of the class `page-header`; `main` must have the id `content`. Links come once the role is known. */
async function showHeader() {
  const list = make("ul");
  const icon = make("img", { attributes: { src: "/static/icon.svg", alt: "" } });
  document.querySelector(".page-header").replaceChildren(
    make("a", { className: "to-content", text: "Skip to the content", attributes: { href: "#content" } }),
    make("div", {
      children: [
        make("a", { className: "brand", attributes: { href: "/" }, children: [icon, "Ask your documents"] }),
        make("nav", { attributes: { "aria-label": "Pages" }, children: [list] }),
      ],
    }),
  );
  try {
    const caller = await whoAmI();
    const allowed = PAGES.filter(({ role }) => hasRole(caller, role));
    list.replaceChildren(...allowed.map(link), ...(isSignedIn() ? [signOutItem()] : []));
  } catch (error) {
    // The page itself says what is wrong. Some are for everyone.
    const forReaders = PAGES.filter(({ role }) => role === "reader");
    list.replaceChildren(...forReaders.map(link), ...(error.status === 401 ? [signInItem()] : []));
  }
}

showHeader();
