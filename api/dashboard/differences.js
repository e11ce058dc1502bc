// Jobs side by side in tables: in what their specs differ, what came of them, and how much of it is the seed's.

import { card, h, scroller } from "./elements.js";
import { at } from "./form.js";
import { HEADLINES, deviation, differing, mean } from "./groups.js";
import { pill } from "./standing.js";
import { stroke } from "./strokes.js";
import { figures, table } from "./table.js";
import { called, number, plain } from "./words.js";

/** A row a job, in the order and the colours of the chart. */
export function differences(jobs) {
  const paths = differing(jobs.map(({ spec }) => spec));
  const metrics = new Set(jobs.flatMap(({ result }) => Object.keys(result?.validation ?? {})));
  for (const beside of ["nonfinite", "loss_se"]) metrics.delete(beside);
  const results = [...metrics].map((metric) => `validation ${plain(metric)}`);
  const settings = paths.map((path) => ({ text: leaf(path), hint: path }));
  const heads = ["Job", "Status", ...settings, ...figures(...results, "Gap", "Best epoch")];
  const row = (job, place) => [
    h(
      "a",
      { class: "plain entry", href: `#/jobs/${job.id}`, title: called(job) },
      stroke(place),
      called(job),
    ),
    pill(job.status).element,
    ...paths.map((path) => (path === "dataset" ? job.dataset.name : setting(job.spec, path))),
    ...[...metrics].map((metric) => number(job.result?.validation?.[metric])),
    number(job.result?.generalization_gap, 3),
    number(job.result?.best_epoch),
  ];
  return table("What the jobs differ in, and what came of them", heads, jobs.map(row));
}

/** Mean and spread of what came of jobs that are the same but for their seeds; null where there are none. */
export function overSeeds(groups) {
  const several = groups.filter((group) => group.filter(({ result }) => result?.validation).length > 1);
  if (!several.length) return null;
  const row = (group) => [
    called(group[0]),
    group.length,
    spread(group.map(({ result }) => result?.validation?.loss)),
    spread(group.map(({ result }) => result?.generalization_gap)),
  ];
  const heads = ["Jobs like", ...figures("Seeds", "Validation loss", "Gap")];
  return card(
    "Over seeds",
    h(
      "p",
      { class: "small muted" },
      "Mean ± standard deviation of jobs whose specs differ in nothing but seeds.",
    ),
    scroller("Over seeds", table("Over seeds", heads, several.map(row))),
  );
}

function spread(values) {
  const known = values.filter((value) => (value ?? null) !== null);
  return known.length ? `${number(mean(known))} ± ${number(deviation(known), 2)}` : "—";
}

const leaf = (path) => plain(path.replace(/^regularization\./, "")).replaceAll(".", " · ");

/** What a spec has at a path; a technique by the setting that says most of it. */
function setting(spec, path) {
  const found = at(spec, `/${path.replaceAll(".", "/")}`);
  const isTechnique = found && typeof found === "object" && !Array.isArray(found);
  if (!isTechnique) return written(found);
  const headline = HEADLINES.find((name) => name in found);
  return headline ? written(found[headline]) : "on";
}

function written(value) {
  if (value === undefined) return "—";
  if (value === null) return "off";
  if (typeof value === "number") return number(value);
  if (Array.isArray(value)) return value.map(item).join(", ") || "none";
  return plain(String(value));
}

/** A monitor by its metric and patience. */
function item(one) {
  if (typeof one !== "object") return String(one);
  return one.metric ? `${one.metric}, patience ${one.patience}` : JSON.stringify(one);
}
