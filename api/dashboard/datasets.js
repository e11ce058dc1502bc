// What networks are trained on.

import { get, query } from "./calls.js";
import { card, fill, h } from "./elements.js";
import { Upload } from "./upload.js";
import { ago, bytes, count } from "./words.js";

export async function open(main, { values, signal }) {
  const cursor = values.get("cursor");
  const { data, next } = await get(`/v1/datasets${query({ limit: 50, cursor })}`, { signal });
  const heads = ["Name", "Task", "Rows", "Columns", "Target", "Size", "Uploaded"];
  const right = (at) => (at === 2 || at === 3 || at === 5 ? "right" : null);
  const row = (one) =>
    h(
      "tr",
      {},
      h("td", { class: "name" }, h("a", { href: `#/datasets/${one.id}`, title: one.name }, one.name)),
      h("td", {}, one.task),
      h("td", { class: "right figure" }, count(one.rows)),
      h("td", { class: "right figure" }, count(one.features)),
      h("td", { class: "dataset" }, h("span", { dir: "auto", title: one.target }, one.target)),
      h("td", { class: "right figure" }, bytes(one.bytes)),
      h("td", { class: "small muted nowrap" }, one.bundled ? "bundled" : ago(one.created_at)),
    );
  const upload = new Upload({ signal, done: (dataset) => (location.hash = `#/datasets/${dataset.id}`) });
  fill(
    main,
    h("div", { class: "head" }, h("h1", {}, "Datasets")),
    h(
      "div",
      { class: "card flat scroll" },
      h(
        "table",
        {},
        h("caption", { class: "unseen" }, "Datasets, the newest first"),
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            heads.map((head, at) => h("th", { scope: "col", class: right(at) }, head)),
          ),
        ),
        h("tbody", {}, data.map(row)),
      ),
    ),
    next
      ? h(
          "div",
          { class: "foot" },
          h("span", { class: "grow" }),
          h("a", { class: "button", href: `#/datasets${query({ cursor: next })}` }, "Older"),
        )
      : null,
    card("Another one", upload.element),
  );
}
