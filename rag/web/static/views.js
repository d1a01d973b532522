// Pages of several views, each with an address of its own: /review?view=answers.

/** The view that the address names, else `usual`; its link among `.views` is marked. */
export function chosenView(usual) {
  const viewOf = (address) => new URL(address).searchParams.get("view") ?? usual;
  const view = viewOf(location.href);
  for (const link of document.querySelectorAll(".views a")) {
    if (viewOf(link.href) === view) link.setAttribute("aria-current", "page");
  }
  return view;
}
