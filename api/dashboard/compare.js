// Several jobs laid over each other: their curves, in what they differ, and what came of it.

import { Away, Problem, Watched, every, get, query } from "./calls.js";
import { bokeh, color } from "./bokeh.js";
import { Chart } from "./chart.js";
import { Curve, smoothed } from "./curve.js";
import { differences, overSeeds } from "./differences.js";
import { card, fill, h, say, scroller } from "./elements.js";
import { averaged, replicates } from "./groups.js";
import { FINAL, cocktail, pill } from "./standing.js";
import { dash, hue, stroke } from "./strokes.js";
import { switches } from "./switches.js";
import { ago, called, number, plain } from "./words.js";

const MOST = 20; // As many as one call lays over each other.
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
  const ids = (values.get("jobs") ?? "").split(",").filter(Boolean).slice(0, MOST);
  if (ids.length === 0) return choose(main, signal);
  bokeh().catch(() => {}); // Fetched beside what is to be drawn; the chart says so if it failed.
  const found = await Promise.allSettled(ids.map((id) => get(`/v1/jobs/${id}`, { signal })));
  const gone = found.filter(({ reason }) => reason instanceof Problem && reason.status === 404);
  const failed = found.find((one) => one.reason && !gone.includes(one));
  if (failed || gone.length === ids.length) throw (failed ?? gone[0]).reason;
  const jobs = found.filter(({ value }) => value).map(({ value }) => value);
  const comparison = new Comparison(main, jobs, values.get("series") ?? "val_loss", signal);
  if (gone.length)
    main.prepend(
      h("p", { class: "away", role: "status" }, `${gone.length} of the jobs are not here any more.`),
    );
  await comparison.run();
}

/** With nothing to compare yet: the latest jobs, to pick from. */
async function choose(main, signal) {
  const { data } = await get(`/v1/jobs?limit=50`, { signal });
  const picked = new Set();
  const go = h(
    "button",
    {
      type: "button",
      class: "primary",
      disabled: true,
      onclick: () => (location.hash = `#/compare?jobs=${[...picked].join(",")}`),
    },
    "Compare",
  );
  const pick = (id, isPicked) => {
    isPicked ? picked.add(id) : picked.delete(id);
    go.disabled = picked.size < 1 || picked.size > MOST;
    say(go, picked.size ? `Compare ${picked.size}` : "Compare");
  };
  const row = (job) =>
    h(
      "tr",
      {},
      h(
        "td",
        { class: "pick" },
        h("input", {
          type: "checkbox",
          id: `pick-${job.id}`,
          onchange: (event) => pick(job.id, event.target.checked),
        }),
      ),
      h(
        "td",
        { class: "name" },
        h("label", { for: `pick-${job.id}`, dir: "auto" }, called(job)),
        h("span", { class: "small muted techniques" }, cocktail(job.spec)),
      ),
      h("td", { class: "dataset" }, h("span", {}, job.dataset.name)),
      h("td", {}, pill(job.status).element),
      h("td", { class: "small muted nowrap" }, ago(job.created_at)),
    );
  fill(
    main,
    h("div", { class: "head" }, h("h1", {}, "Compare"), go),
    h(
      "p",
      { class: "muted" },
      `Pick up to ${MOST} jobs. Their curves are laid over each other, with what their specs differ in.`,
    ),
    data.length
      ? h(
          "div",
          { class: "card flat scroll" },
          h(
            "table",
            { class: "picks" },
            h("caption", { class: "unseen" }, "Jobs to pick from"),
            h("tbody", {}, data.map(row)),
          ),
        )
      : h("p", { class: "empty" }, "There are no jobs yet."),
  );
}

class Comparison {
  #log = false;
  #weight = 0;
  #grouped = false;

  constructor(main, jobs, series, signal) {
    Object.assign(this, { jobs, series, signal, curves: [], watched: new Watched() });
    this.chart = new Chart({ label: "Curves of several jobs", height: 380 });
    this.groups = replicates(jobs);
    this.table = scroller("What they differ in");
    this.legendPlace = h("div", { class: "legend" });
    this.seeds = h("div", { class: "place" });
    fill(
      main,
      h(
        "div",
        { class: "head" },
        h("h1", {}, `${jobs.length} jobs compared`),
        h("a", { class: "button", href: "#/compare" }, "Others"),
      ),
      card(null, this.#tools(), this.legendPlace, this.chart.box),
      card("What they differ in, and what came of it", this.table),
      this.seeds,
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

  /** Made anew only where something in it has changed, so that the keyboard keeps its place. */
  #tabulate() {
    const said = JSON.stringify(
      this.jobs.map(({ status, requested_action, result }) => [status, requested_action, result]),
    );
    if (said === this.said) return;
    this.said = said;
    this.groups = replicates(this.jobs);
    fill(this.table, differences(this.jobs));
    fill(this.seeds, overSeeds(this.groups));
  }

  // The chart ---------------------------------------------------------------------------------------------

  #draw() {
    if (this.signal.aborted || !this.curves.length) return;
    const shown = this.#grouped ? this.#averages() : this.#each();
    this.chart.draw({ ...shown, log: this.#log });
    const last = this.curves.map(
      (curve, at) => `${called(this.jobs[at])} ${number(curve.values(this.series).at(-1))}`,
    );
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
    fill(
      this.legendPlace,
      this.jobs.map((job, at) => entry(called(job), at)),
    );
    return { lines, points: points.filter(({ y }) => y !== undefined && y !== null) };
  }

  #averages() {
    const curveOf = new Map(this.jobs.map((job, at) => [job.id, this.curves[at]]));
    const averages = this.groups.map((group) =>
      averaged(
        group.map(({ id }) => curveOf.get(id)),
        this.series,
      ),
    );
    fill(
      this.legendPlace,
      this.groups.map((group, at) => entry(`${called(group[0])} · mean of ${group.length}`, at)),
      h("span", { class: "small muted" }, "bands: one standard deviation"),
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
      onchange: (event) => ((this.#grouped = event.target.checked), redraw()),
    });
    const canGroup = this.groups.some((group) => group.length > 1);
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
      canGroup ? h("label", {}, grouped, "Mean and spread over seeds") : null,
    );
  }
}

const entry = (name, place) => h("span", { class: "entry" }, stroke(place), name);
