// Tables of numbers: what a row is of stands in its first cell, figures stand to the right.

import { h } from "./elements.js";

/**
 * `table("Caption for screen readers", heads, rows)`. A head is a word, or `{ text, right, unseen, hint }`; a row
 * is a list of cells, each a text, an element, or a list of both.
 */
export function table(caption, heads, rows) {
  const columns = heads.map((head) => (typeof head === "string" ? { text: head } : head));
  return h(
    "table",
    { class: "small" },
    h("caption", { class: "unseen" }, caption),
    columns.some(({ text }) => text) && h("thead", {}, h("tr", {}, columns.map(headCell))),
    h(
      "tbody",
      {},
      rows.map((cells) => tableRow(columns, cells)),
    ),
  );
}

/** Heads of columns with figures in them. */
export const figures = (...words) => words.map((text) => ({ text, right: true }));

/** One row by itself, for bodies that change. */
function tableRow(columns, cells) {
  const cell = (content, place) => {
    const { right, wide } = columns[place] ?? {};
    return place
      ? h("td", { class: right ? "right figure" : wide ? "bar-cell" : "figure" }, content)
      : rowHead(content);
  };
  return h("tr", {}, cells.map(cell));
}

function headCell({ text, right, unseen, hint }) {
  return h(
    "th",
    { scope: "col", class: right ? "right" : null, title: hint, dir: "auto" },
    unseen ? h("span", { class: "unseen" }, text) : text,
  );
}

function rowHead(content) {
  const text = typeof content === "string" ? content : null;
  return h("th", { scope: "row", class: "column", dir: "auto", title: text }, content);
}

/** A share between 0 and 1 as a bar. */
export const meter = (share) =>
  h("span", { class: "meter", role: "presentation", style: { "--share": share } });
