// Tables, and lists of names and what stands for them.
import { make } from "/static/elements.js";

/** A table in a region that is called by its caption; `columns` are [name, whether its cells are numbers], cells are texts or elements. */
export function table(caption, columns, rows) {
  const cell = (content, at) =>
    make(at ? "td" : "th", { className: columns[at][1] ? "number" : "", attributes: at ? {} : { scope: "row" }, children: [content] });
  return make("div", {
    className: "wide",
    attributes: { tabindex: "0", role: "region", "aria-label": caption },
    children: [
      make("table", {
        children: [
          make("thead", {
            children: [
              make("tr", {
                children: columns.map(([name, isNumber]) =>
                  make("th", { text: name, className: isNumber ? "number" : "", attributes: { scope: "col" } }),
                ),
              }),
            ],
          }),
          make("tbody", { children: rows.map((cells) => make("tr", { children: cells.map(cell) })) }),
        ],
      }),
    ],
  });
}

/** Pairs of a name and what stands for it, in a list. What is null is left out. */
export function details(pairs) {
  const shown = pairs.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return make("dl", {
    children: shown.map(([name, value]) =>
      make("div", { children: [make("dt", { text: name }), make("dd", { children: [value] })] }),
    ),
  });
}
