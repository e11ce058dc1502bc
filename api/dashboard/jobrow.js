// A job as a row of the list: how it stands, its losses as a line, what came of it.

import { indexOfLowest } from "./curve.js";
import { fill, h, say } from "./elements.js";
import { parts, valueOf } from "./metrics.js";
import { spark } from "./spark.js";
import { cocktail, pill, progressBar } from "./standing.js";
import { tickBox } from "./ticked.js";
import { ago, called, headline, moment, number, plain } from "./words.js";

/**
 * `{ element, update(job), draw(curve) }`. `view` tells what the list shows beside the job: `metric`, the key of its
 * column or null for each job's own, `curves` by a job's id, and `best`, the ids of the best by column.
 */
export function jobRow(job, view, signal) {
  const [status, progress, small] = [pill(), progressBar({ isBrief: true }), spark()];
  const [loss, metric, gap] = ["loss", "metric", "gap"].map((name) => h("td", { class: `right figure ${name}` }));
  const name = h("a", { href: `#/jobs/${job.id}` });
  const techniques = h("span", { class: "small muted techniques" });
  const when = h("td", { class: "small muted nowrap when", title: moment(job.created_at) });
  const dataset = h("a", { class: "plain", href: `#/datasets/${job.dataset.id}` });
  const element = h(
    "tr",
    {},
    h("td", { class: "pick" }, tickBox(job, signal)),
    h("td", { class: "name" }, name, techniques),
    h("td", { class: "dataset" }, dataset),
    h("td", { class: "status" }, status.element),
    h("td", { class: "time" }, progress.element),
    h("td", { class: "losses" }, small.element),
    [loss, metric, gap],
    when,
  );
  const draw = (curve) => small.show(curve);
  if (view.curves.has(job.id)) draw(view.curves.get(job.id));
  const update = (now) => {
    [status, progress].forEach((part) => part.update(now));
    say(name, called(now));
    name.title = called(now);
    say(techniques, cocktail(now.spec));
    say(dataset, now.dataset.name);
    dataset.title = now.dataset.name;
    const so = soFar(now, view.curves.get(now.id));
    tell(loss, so.loss, view.best.loss?.has(now.id), now);
    const shown = view.metric ? { value: valueOf(now, view.metric) } : headline(now);
    const isOwn = !view.metric && shown.value !== null;
    tell(metric, shown.value, view.best.metric?.has(now.id), now, isOwn && plain(shown.name));
    say(gap, number(so.gap, 3));
    say(when, ago(now.created_at));
  };
  return { element, update, draw };
}

/** A figure, marked where it is the best of its dataset; below it the name of the metric where rows differ in it. */
function tell(cell, value, isBest, job, name = null) {
  const said = `${number(value)} ${name} ${isBest}`;
  if (cell.dataset.said === said) return;
  cell.dataset.said = said;
  cell.classList.toggle("best", Boolean(isBest));
  cell.title = isBest ? `the best of ${job.dataset.name} on this page` : "";
  fill(
    cell,
    isBest ? h("span", { class: "unseen" }, "best: ") : null,
    h("span", { class: "value" }, number(value)),
    name ? h("span", { class: "small muted of" }, name) : null,
  );
}

/** Loss and gap: the result's where there is one, else what the curve tells of a job that is still training. */
function soFar(job, curve) {
  if (job.result)
    return { loss: job.result.validation?.loss ?? null, gap: job.result.generalization_gap ?? null };
  const place = curve ? indexOfLowest(curve.values("val_loss")) : -1;
  if (place < 0) return { loss: null, gap: null };
  const loss = curve.values("val_loss")[place];
  return { loss, gap: loss - curve.values("train_loss")[place] };
}

/** What the best of a column is looked for among: jobs that have a result, those of each dataset by themselves. */
export function entriesOf(jobs, key) {
  return jobs.map((job) => ({
    id: job.id,
    group: job.dataset.id,
    value: parts(key) ? valueOf(job, key) : null,
  }));
}
