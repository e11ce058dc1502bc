// One dataset: its columns, its classes, its first rows.

import { get, query, send } from "./calls.js";
import { card, fill, h, say } from "./elements.js";
import { count, number, plain, short } from "./words.js";

export async function open(main, { id, signal }) {
  const [dataset, rows] = await Promise.all([get(`/v1/datasets/${id}`, { signal }), get(`/v1/datasets/${id}/rows?limit=10`, { signal })]);
  const wrong = h("p", { class: "wrong", role: "alert" });
  const remove = async () => {
    try {
      await send("DELETE", `/v1/datasets/${id}`);
      location.hash = "#/datasets";
    } catch (error) {
      say(wrong, error.message);
    }
  };
  const facts = [
    ["Rows", count(dataset.rows)], ["Columns", dataset.features], ["Target", dataset.target], ["Task", `${dataset.task}: ${dataset.task_reason}`],
    ["SHA-256", h("code", {}, dataset.sha256.slice(0, 16), "…")],
  ];
  fill(main,
    h("div", { class: "head" }, h("h1", { dir: "auto" }, dataset.name),
      dataset.bundled ? null : h("button", { type: "button", class: "danger", onclick: remove }, "Delete"),
      h("a", { class: "button", href: `#/jobs${query({ dataset: dataset.id })}` }, "Its jobs"),
      h("a", { class: "button primary", href: `#/new?dataset=${dataset.bundled ? encodeURIComponent(dataset.name) : id}` }, "Train on it")),
    wrong,
    card(null, h("dl", { class: "facts" }, facts.map(([name, fact]) => h("div", {}, h("dt", {}, name), h("dd", {}, fact)))),
      dataset.notes.length ? h("ul", { class: "small muted" }, dataset.notes.map((note) => h("li", {}, note))) : null),
    h("div", { class: "columns" }, card("Columns", columnsTable(dataset)), dataset.classes ? card("Classes", classesTable(dataset)) : null),
    card("First rows", rowsTable(rows, dataset)));
}

/** What is known of each column. */
export function columnsTable({ columns }) {
  const range = (column) => (column.kind === "categorical" ? (column.levels ?? []).slice(0, 4).map((level) => short(level, 24)).join(", ") + (column.cardinality > 4 ? ", …" : "") : column.minimum === null ? "" : `${number(column.minimum)} to ${number(column.maximum)}`);
  const row = (column) => h("tr", {}, h("th", { scope: "row", dir: "auto", class: "column", title: column.name }, column.name), h("td", {}, plain(column.kind), column.constant ? h("span", { class: "muted" }, " constant") : null),
    h("td", { class: "right figure" }, column.missing || ""), h("td", { class: "right figure" }, count(column.cardinality)), h("td", { class: "muted" }, range(column)));
  const heads = ["Column", "Kind", "Missing", "Values", "Range"];
  return h("div", { class: "scroll tall", tabindex: 0, role: "region", "aria-label": "Columns" }, h("table", { class: "small" },
    h("thead", {}, h("tr", {}, heads.map((head, at) => h("th", { scope: "col", class: at === 2 || at === 3 ? "right" : null }, head)))), h("tbody", {}, columns.map(row))));
}

function classesTable({ classes, rows }) {
  return h("div", { class: "scroll tall", tabindex: 0, role: "region", "aria-label": "Classes" }, h("table", { class: "small" }, h("tbody", {}, classes.map((one) =>
    h("tr", {}, h("th", { scope: "row", dir: "auto" }, short(one.label)), h("td", { class: "bar-cell wide" }, h("span", { class: "meter", style: { "--share": one.count / rows } })), h("td", { class: "right figure" }, count(one.count)))))));
}

/** Some rows as they are in the file; the target's column comes last and stands out. */
export function rowsTable({ columns, data }, { target }) {
  const names = [...columns.filter((name) => name !== target), target];
  const cell = (value) => (value === null ? h("span", { class: "muted" }, "missing") : typeof value === "number" ? number(value) : short(String(value), 60));
  return h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "First rows" }, h("table", { class: "small" },
    h("thead", {}, h("tr", {}, names.map((name) => h("th", { scope: "col", dir: "auto", title: name }, short(name, 40))))),
    h("tbody", {}, data.map((row) => h("tr", {}, names.map((name) => h("td", { class: name === target ? "figure target" : "figure" }, cell(row[name]))))))));
}
