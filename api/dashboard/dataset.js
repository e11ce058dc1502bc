// One dataset: its columns, its classes, its first rows.

import { About } from "./about.js";
import { get, query, send } from "./calls.js";
import { card, entitle, fill, h, say, scroller, sure } from "./elements.js";
import { Leaderboard } from "./leaderboard.js";
import { figures, meter, table } from "./table.js";
import { count, number, plain, short } from "./words.js";

const MOST = 100; // Rows of a long table at first.
const WIDEST = 50; // Columns of the first rows; the list below has them all.
const FEW = 4; // Levels of a column that are named.

export async function open(main, { id, signal }) {
  const [dataset, rows] = await Promise.all([
    get(`/v1/datasets/${id}`, { signal }),
    get(`/v1/datasets/${id}/rows?limit=10`, { signal }),
  ]);
  const heading = h("h1", { dir: "auto" });
  const name = (now) => {
    say(heading, now.name);
    entitle(now.name, "Dataset");
  };
  name(dataset);
  const leaderboard = new Leaderboard(dataset, signal);
  const wrong = h("p", { class: "wrong", role: "alert" });
  const remove = async () => {
    const text = "The dataset is gone for good. Jobs that were trained on it keep it from being deleted.";
    if (!(await sure({ title: `Delete ${heading.textContent}?`, text, label: "Delete", danger: true, signal })))
      return;
    try {
      await send("DELETE", `/v1/datasets/${id}`);
      if (!signal.aborted) location.hash = "#/datasets";
    } catch (error) {
      say(wrong, error.message);
    }
  };
  const facts = [
    ["Rows", count(dataset.rows)],
    ["Columns", dataset.features],
    ["Target", dataset.target],
    ["Task", `${dataset.task}: ${dataset.task_reason}`],
    ["SHA-256", h("code", {}, dataset.sha256.slice(0, 16), "…")],
  ];
  fill(
    main,
    h(
      "div",
      { class: "head" },
      heading,
      dataset.bundled ? null : h("button", { type: "button", class: "danger", onclick: remove }, "Delete"),
      h("a", { class: "button", href: `#/jobs${query({ dataset: dataset.id })}` }, "Its jobs"),
      h(
        "a",
        {
          class: "button primary",
          href: `#/new?dataset=${dataset.bundled ? encodeURIComponent(dataset.name) : id}`,
        },
        "Train on it",
      ),
    ),
    wrong,
    card(
      null,
      h(
        "dl",
        { class: "facts" },
        facts.map(([name, fact]) => h("div", {}, h("dt", {}, name), h("dd", {}, fact))),
      ),
      dataset.notes.length
        ? h(
            "ul",
            { class: "small muted" },
            dataset.notes.map((note) => h("li", {}, note)),
          )
        : null,
      dataset.bundled ? null : about(dataset, signal, name),
    ),
    leaderboard.element,
    h(
      "div",
      { class: "columns" },
      card("Columns", columnsTable(dataset)),
      dataset.classes ? card("Classes", classesTable(dataset)) : null,
    ),
    card("First rows", rowsTable(rows, dataset)),
  );
  await leaderboard.run();
}

/** What people say of it, to be changed; `renamed` is told the dataset when it was. */
function about(dataset, signal, renamed) {
  const part = new About({
    path: `/v1/datasets/${dataset.id}`,
    signal,
    // What people wrote; `notes` are what was noted when the file was read.
    read: ({ name, user_notes, metadata }) => ({ name, notes: user_notes, metadata }),
    saved: renamed,
  });
  part.show(dataset);
  return part.element;
}

/** What is known of each column. */
export function columnsTable({ columns }) {
  const heads = ["Column", "Kind", ...figures("Missing", "Values"), "Range"];
  const row = (one) => [
    one.name,
    one.constant ? `${plain(one.kind)}, constant` : plain(one.kind),
    one.missing ? count(one.missing) : "",
    count(one.cardinality),
    range(one),
  ];
  return tall(
    "Columns",
    whole(columns, (some) => table("Columns", heads, some.map(row))),
  );
}

/** The first many rows of something, and a button for all of them. */
function whole(rows, make) {
  const place = h("div", {}, make(rows.slice(0, MOST)));
  if (rows.length <= MOST) return place;
  const all = () => place.replaceChildren(make(rows));
  place.append(h("button", { type: "button", class: "small", onclick: all }, `All ${count(rows.length)}`));
  return place;
}

function range({ kind, levels, cardinality, minimum, maximum }) {
  if (kind !== "categorical") return minimum === null ? "" : `${number(minimum)} to ${number(maximum)}`;
  const some = (levels ?? []).slice(0, FEW).map((level) => short(level, 24));
  return [...some, ...(cardinality > FEW ? ["…"] : [])].join(", ");
}

function classesTable({ classes, rows }) {
  const heads = ["Class", { text: "Share", wide: true }, ...figures("Rows")];
  const row = (one) => [short(one.label), meter(one.count / rows), count(one.count)];
  return tall(
    "Classes",
    whole(classes, (some) => table("Classes", heads, some.map(row))),
  );
}

/** Some rows as they are in the file; the target's column comes last. */
export function rowsTable({ columns, data }, { target }) {
  const others = columns.filter((name) => name !== target);
  const names = [...others.slice(0, WIDEST), target];
  const cell = (value) => {
    if (value === null) return h("span", { class: "muted" }, "missing");
    return typeof value === "number" ? number(value) : short(String(value), 60);
  };
  const heads = ["Row", ...names.map((name) => ({ text: short(name, 40), hint: name }))];
  const rows = data.map((row, place) => [String(place + 1), ...names.map((name) => cell(row[name]))]);
  return scroller("First rows", table("First rows, the target last", heads, rows));
}

function tall(label, ...children) {
  const place = scroller(label, ...children);
  place.classList.add("tall");
  return place;
}
