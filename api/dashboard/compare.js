// Several jobs laid over each other: their curves, in what they differ, and what came of it.

import { Away, Problem, Watched, every, get, query } from "./calls.js";
import { bokeh, color } from "./bokeh.js";
import { Chart } from "./chart.js";
import { Curve, smoothed } from "./curve.js";
import { differences } from "./differences.js";
import { card, entitle, fill, h } from "./elements.js";
import { averaged, replicates } from "./groups.js";
import { labelsOf } from "./labels.js";
import { Metrics } from "./metrics.js";
import { FINAL, cocktail, pill } from "./standing.js";
import { dash, hue, stroke } from "./strokes.js";
import { switches } from "./switches.js";
import { tickBox, ticked } from "./ticked.js";
import { OVERLAID } from "./tray.js";
import { ago, called, number, plain } from "./words.js";

const NAMED = 8; // Of the jobs that one comparison does not hold.
const POINTS = 500;
const ALWAYS = [
  "val_loss",
  "train_loss",
  "objective",
  "penalty_l1",
  "penalty_l2",
  "sparsity",
  "weight_norm",
  "learning_rate",
];

export async function open(main, { values, signal }) {
  const asked = [...new Set((values.get("jobs") ?? "").split(",").filter(Boolean))];
  if (asked.length === 0) return choose(main, signal);
  const [ids, left] = [asked.slice(0, OVERLAID), asked.slice(OVERLAID)];
  bokeh().catch(() => {}); // Fetched beside what is to be drawn; the chart says so if it failed.
  const found = await Promise.allSettled(ids.map((id) => get(`/v1/jobs/${id}`, { signal })));
  const gone = found.filter(({ reason }) => reason instanceof Problem && reason.status === 404);
  const failed = found.find((one) => one.reason && !gone.includes(one));
  if (failed || gone.length === ids.length) throw (failed ?? gone[0]).reason;
  const jobs = found.filter(({ value }) => value).map(({ value }) => value);
  entitle(`Compare ${jobs.length} jobs`);
  const metrics = await Metrics.fetch().catch(() => null);
  if (signal.aborted) return;
  const comparison = new Comparison(main, jobs, { series: values.get("series") ?? "val_loss", metrics, signal });
  if (gone.length)
    main.prepend(
      h("p", { class: "away", role: "status" }, `${gone.length} of the jobs are not here any more.`),
    );
  if (left.length) await tellLeft(main, asked.length, left, signal);
  await comparison.run();
}

/** Which jobs were chosen beyond what one comparison holds, and the way to them. */
async function tellLeft(main, asked, left, signal) {
  const found = await Promise.allSettled(left.slice(0, NAMED).map((id) => get(`/v1/jobs/${id}`, { signal })));
  if (signal.aborted) return;
  const jobs = found.map(({ value }, place) => value ?? { id: left[place] });
  const known = jobs.filter(({ spec }) => spec);
  const labels = labelsOf(known.map((job) => [job]));
  const names = jobs.map((job, place) => {
    const words = job.spec ? labels[known.indexOf(job)].text : called(job);
    return [place ? ", " : "", h("a", { href: `#/jobs/${job.id}`, dir: "auto" }, words)];
  });
  const more = left.length > NAMED ? ` and ${left.length - NAMED} more` : "";
  main.prepend(
    h(
      "p",
      { class: "away", role: "status" },
      `${asked} jobs were chosen, and one comparison holds ${OVERLAID}: the first ${OVERLAID} are here. `,
      "Not among them: ",
      names,
      `${more}. `,
      h("a", { href: `#/compare?jobs=${left.join(",")}` }, left.length > 1 ? `Compare those ${left.length}` : "See it"),
    ),
  );
}

/** With nothing to compare yet: the latest jobs, to tick some. */
async function choose(main, signal) {
  const { data } = await get(`/v1/jobs?limit=50`, { signal });
  ticked.note(data);
  const row = (job) => {
    const box = tickBox(job, signal);
    box.id = `pick-${job.id}`;
    return h(
      "tr",
      {},
      h("td", { class: "pick" }, box),
      h(
        "td",
        { class: "name" },
        h("label", { for: box.id, dir: "auto" }, called(job)),
        h("span", { class: "small muted techniques" }, cocktail(job.spec)),
      ),
      h("td", { class: "dataset" }, h("span", {}, job.dataset.name)),
      h("td", {}, pill(job.status).element),
      h("td", { class: "small muted nowrap" }, ago(job.created_at)),
    );
  };
  fill(
    main,
    h("div", { class: "head" }, h("h1", {}, "Compare")),
    h(
      "p",
      { class: "muted" },
      `Tick up to ${OVERLAID} jobs, here or in the `,
      h("a", { href: "#/jobs" }, "list of jobs"),
      ". Their curves are laid over each other, with what their specs differ in.",
    ),
    data.length
      ? h(
          "div",
          { class: "card flat scroll" },
          h(
            "table",
            { class: "picks" },
            h("caption", { class: "unseen" }, "Jobs to tick"),
            h("tbody", {}, data.map(row)),
          ),
        )
      : h("p", { class: "empty" }, "There are no jobs yet."),
  );
}

class Comparison {
  #log = false;
  #weight = 0;
  #grouped = true;

  constructor(main, jobs, { series, metrics, signal }) {
    Object.assign(this, { jobs, series, metrics, signal, curves: [], watched: new Watched() });
    this.chart = new Chart({ label: "Curves of several jobs", height: 380 });
    this.table = h("div", { class: "column" });
    this.legendPlace = h("div", { class: "legend" });
    fill(
      main,
      h(
        "div",
        { class: "head" },
        h("h1", {}, `${jobs.length} ${jobs.length === 1 ? "job" : "jobs"} compared`),
        h("a", { class: "button", href: "#/compare" }, "Others"),
      ),
      card(null, this.#tools(), this.legendPlace, this.chart.box),
      card(null, this.table),
    );
    signal.addEventListener("abort", () => this.chart.forget(), { once: true });
    window.addEventListener("recolored", () => (this.chart.forget(), this.#draw()), { signal });
    this.#tabulate();
  }

  /** Everything that is not yet told; while jobs train, again each second. */
  async run() {
    await this.#look();
    await every(1, this.signal, async () => {
      const isOver = this.jobs.every(({ status }) => FINAL.includes(status));
      if (!isOver || this.drawn !== this.series) await this.#look();
    });
  }

  async #look() {
    const { series } = this;
    const unfinished = this.jobs.filter(({ status }) => !FINAL.includes(status));
    const fresh = await Promise.all(
      unfinished.map(({ id }) => get(`/v1/jobs/${id}`, { signal: this.signal })),
    );
    for (const job of fresh) this.jobs[this.jobs.findIndex(({ id }) => id === job.id)] = job;
    this.#tabulate();
    const ids = this.jobs.map(({ id }) => id).join(",");
    const answer = await this.watched.read(
      `/v1/curves${query({ jobs: ids, series, max_points: POINTS })}`,
      this.signal,
    );
    if (series !== this.series) return; // Another one was chosen meanwhile, and is being asked for.
    if (answer) this.curves = answer.curves.map((one) => Curve.of(one));
    if (answer || this.drawn !== series) this.#draw();
    this.drawn = series;
  }

  /** Jobs that share a line and a row: each by itself, or with those that differ from it in seeds alone. */
  get groups() {
    return this.#grouped ? replicates(this.jobs) : this.jobs.map((job) => [job]);
  }

  /** Made anew only where something in it has changed, so that the keyboard keeps its place. */
  #tabulate() {
    const told = this.jobs.map(({ status, requested_action, result }) => [status, requested_action, result]);
    const said = JSON.stringify([this.#grouped, told]);
    if (said === this.said) return;
    this.said = said;
    const { groups } = this;
    fill(this.table, differences(groups, labelsOf(groups), this.metrics));
  }

  // The chart ---------------------------------------------------------------------------------------------

  #draw() {
    if (this.signal.aborted || !this.curves.length) return;
    const { groups } = this;
    const labels = labelsOf(groups);
    const isAveraged = groups.length < this.jobs.length;
    const shown = isAveraged ? this.#averages(groups) : this.#each();
    this.chart.draw({ ...shown, log: this.#log });
    fill(
      this.legendPlace,
      groups.map((group, at) => entry(labels[at], at, group.length)),
      isAveraged && h("span", { class: "small muted" }, "bands: one standard deviation"),
    );
    const last = shown.lines.map(({ y }, at) => `${labels[at].text} ${number(y.at(-1))}`);
    this.chart.describe(`${plain(this.series)} of ${this.jobs.length} jobs. At the end: ${last.join(", ")}.`);
  }

  #each() {
    const lines = this.curves.map((curve, at) => ({
      x: curve.epochs,
      y: smoothed(curve.values(this.series), this.#weight),
      color: color(hue(at)),
      dash: dash(at),
    }));
    const points = this.curves.map((curve, at) => ({
      x: curve.best,
      y: curve.values(this.series)[curve.epochs.indexOf(curve.best)],
      color: color(hue(at)),
    }));
    return { lines, points: points.filter(({ y }) => y !== undefined && y !== null) };
  }

  #averages(groups) {
    const curveOf = new Map(this.jobs.map((job, at) => [job.id, this.curves[at]]));
    const averages = groups.map((group) =>
      averaged(
        group.map(({ id }) => curveOf.get(id)),
        this.series,
      ),
    );
    const lines = averages.map(({ x, middle }, at) => ({
      x,
      y: smoothed(middle, this.#weight),
      color: color(hue(at)),
      dash: dash(at),
    }));
    return {
      lines,
      bands: averages.map(({ x, low, high }, at) => ({ x, low, high, color: color(hue(at)) })),
    };
  }

  #tools() {
    const known = this.jobs.flatMap(({ spec }) =>
      (spec.metrics ?? []).flatMap((metric) => [`val_${metric}`, `train_${metric}`]),
    );
    const options = [...new Set([...ALWAYS.slice(0, 2), ...known, ...ALWAYS.slice(2)])];
    const redraw = () => this.#draw();
    const change = async (event) => {
      this.series = event.target.value;
      await this.#look().catch((error) => {
        if (!(error instanceof Away) && !this.signal.aborted) throw error; // `run` tries again.
      });
    };
    const asked = switches({
      log: (isOn) => ((this.#log = isOn), redraw()),
      smooth: (weight) => ((this.#weight = weight), redraw()),
    });
    const grouped = h("input", {
      type: "checkbox",
      checked: true,
      onchange: (event) => ((this.#grouped = event.target.checked), this.#tabulate(), redraw()),
    });
    const canGroup = this.groups.length < this.jobs.length;
    return h(
      "div",
      { class: "tools" },
      h(
        "label",
        {},
        "Series",
        h(
          "select",
          { onchange: change },
          options.map((name) => h("option", { value: name, selected: name === this.series }, plain(name))),
        ),
      ),
      asked,
      canGroup ? h("label", {}, grouped, "Seeds as mean and spread") : null,
    );
  }
}

function entry({ name, difference }, place, many) {
  return h(
    "span",
    { class: "entry" },
    stroke(place),
    h("span", {}, name && h("b", { dir: "auto" }, name), name && difference ? " · " : "", difference),
    many > 1 && h("span", { class: "small muted nowrap" }, `mean of ${many}`),
  );
}
