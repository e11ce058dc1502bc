// Jobs side by side in tables: what came of them, and in what their specs differ. Jobs that are the same but for their
// seeds may stand in one row, as mean and standard deviation.

import { h, scroller } from "./elements.js";
import { SEEDS, deviation, differing, mean } from "./groups.js";
import { setting } from "./labels.js";
import { bestOf } from "./metrics.js";
import { pill } from "./standing.js";
import { stroke } from "./strokes.js";
import { figures, table } from "./table.js";
import { called, number, plain, short } from "./words.js";

const WIDEST = 9; // Settings in columns of their own; of more, each row has a list.
const NOTE =
  "The best of each validation column is marked. Test columns are to report by: who chooses by them spends them.";
const BESIDE = ["nonfinite", "loss_se"]; // What a split's result has besides its metrics.

/**
 * What came of groups of jobs, dataset by dataset, and in what they differ. A group has a row and a label, in the order
 * and the colours of the chart.
 */
export function differences(groups, labels, metrics) {
  const rows = groups.map((group, place) => ({ group, place, label: labels[place] }));
  const datasets = [...Map.groupBy(rows, ({ group }) => group[0].dataset.id).values()];
  const parts = datasets.map((some) => {
    const title = datasets.length > 1 ? `What came of it on ${some[0].group[0].dataset.name}` : "What came of it";
    return [h("h2", { dir: "auto" }, title), scroller(title, outcomes(some, metrics))];
  });
  return [...parts, metrics && rows.length > 1 && h("p", { class: "small muted" }, NOTE), settings(rows)];
}

/** Rows that were trained on the same data: figures of different data are not to be compared. */
function outcomes(rows, metrics) {
  const jobs = rows.flatMap(({ group }) => group);
  const names = (split) => {
    const all = new Set(jobs.flatMap(({ result }) => Object.keys(result?.[split] ?? {})));
    return [...all].filter((name) => !BESIDE.includes(name)).map((name) => ({ split, name }));
  };
  const columns = [...names("validation"), ...names("test")];
  const best = columns.map(({ split, name }) =>
    metrics && split === "validation" ? bestOf(entries(rows, name), name, metrics) : new Set(),
  );
  const isGrouped = rows.some(({ group }) => group.length > 1);
  const words = columns.map(({ split, name }) => `${split} ${plain(name)}`);
  const heads = ["Jobs", ...(isGrouped ? figures("Seeds") : []), "Status", ...figures(...words, "Gap", "Best epoch")];
  const cells = ({ group, place, label }) => [
    name(group, place, label),
    ...(isGrouped ? [String(group.length)] : []),
    statuses(group),
    ...columns.map(({ split, name: metric }, at) =>
      figure(
        group.map(({ result }) => result?.[split]?.[metric]),
        { isBest: best[at].has(place) },
      ),
    ),
    figure(
      group.map(({ result }) => result?.generalization_gap),
      { digits: 3 },
    ),
    figure(
      group.map(({ result }) => result?.best_epoch),
      { digits: 3 },
    ),
  ];
  const over = isGrouped ? ", as mean ± standard deviation over seeds" : "";
  return wide(table(`What came of the jobs${over}`, heads, rows.map(cells)));
}

function wide(made) {
  made.classList.add("outcomes");
  return made;
}

const entries = (rows, metric) =>
  rows.map(({ group, place }) => {
    const known = numbers(group.map(({ result }) => result?.validation?.[metric]));
    return { id: place, group: "all", value: known.length ? mean(known) : null };
  });

function settings(rows) {
  const paths = differing(rows.map(({ group: [{ spec }] }) => spec)).filter(
    (path) => !SEEDS.includes(path) || rows.every(({ group }) => group.length === 1),
  );
  if (!paths.length) return h("p", { class: "small muted" }, "Their specs differ in nothing but seeds and names.");
  const isMany = paths.length > WIDEST;
  const heads = ["Jobs", ...(isMany ? ["Settings"] : paths.map((path) => ({ text: heading(path), hint: path })))];
  const told = ([job], path) => short(setting(job, path), 60);
  const list = (group) => paths.map((path) => `${heading(path)}: ${told(group, path)}`).join("; ");
  const cells = ({ group, place, label }) => [
    name(group, place, label),
    ...(isMany ? [list(group)] : paths.map((path) => told(group, path))),
  ];
  const made = wide(table("What the jobs differ in", heads, rows.map(cells)));
  return [h("h2", {}, "What they differ in"), scroller("What they differ in", made)];
}

/** The label in its colour: a link where it is of one job, else a list of links to open. */
function name(group, place, { text }) {
  const link = (job, words) => h("a", { class: "plain", href: `#/jobs/${job.id}`, title: called(job) }, words);
  if (group.length === 1) return h("span", { class: "entry" }, stroke(place), link(group[0], text));
  const seed = (job) => link(job, `seed ${job.spec.training.seed}`);
  return h(
    "details",
    { class: "seeds" },
    h("summary", {}, h("span", { class: "entry" }, stroke(place), text)),
    h("span", { class: "small muted" }, group.map((job, at) => [at ? ", " : "", seed(job)])),
  );
}

/** One status of all, or how many have each. */
function statuses(group) {
  const often = Map.groupBy(group, ({ status }) => status);
  if (often.size === 1) return pill(group[0].status).element;
  return [...often].map(([status, some]) => h("span", { class: "small nowrap" }, `${some.length} ${plain(status)} `));
}

const numbers = (values) => values.filter((value) => (value ?? null) !== null);

/** The mean of what is known, and below it the standard deviation where it is of more than one. */
function figure(values, { digits = 4, isBest = false }) {
  const known = numbers(values);
  const middle = number(known.length ? mean(known) : null, digits);
  const shown = isBest
    ? h("span", { class: "best-value" }, h("span", { class: "unseen" }, "best: "), middle)
    : middle;
  return known.length < 2 ? shown : [shown, h("span", { class: "deviation" }, ` ± ${number(deviation(known), 2)}`)];
}

const heading = (path) => plain(path.replace(/^regularization\./, "")).replaceAll(".", " · ");
