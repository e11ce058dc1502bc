// How training goes: training and validation laid over each other, and what regularization does beside them.

import { color } from "./bokeh.js";
import { Chart, legend } from "./chart.js";
import { indexOfLowest, smoothed } from "./curve.js";
import { fill, h, scroller } from "./elements.js";
import { switches } from "./switches.js";
import { figures, table } from "./table.js";
import { number, plain } from "./words.js";

const BETWEEN_DRAWINGS = 250; // Milliseconds; epochs come in as often.
const ASIDES = {
  penalties: ["penalty_l1", "penalty_l2"],
  sparsity: ["sparsity"],
  "weight norm": ["weight_norm"],
  "learning rate": ["learning_rate"],
  "seconds an epoch": ["epoch_seconds"],
};

/** The card of a curve: `show(curve, job)` whenever there is more of it. */
export class Learning {
  #metric = "loss";
  #aside = null;
  #weight = 0;
  #log = false;
  #at = null;
  #due = null;
  #drawnAt = 0;

  constructor(signal) {
    this.chart = new Chart({ label: "Learning curve", height: 340, pointed: (epoch) => this.#point(epoch) });
    this.below = new Chart({
      label: "Regularization by epoch",
      height: 170,
      pointed: (epoch) => this.#point(epoch),
    });
    this.legend = legend([]);
    this.note = h("span", { class: "small muted" });
    this.table = h("details", {}, h("summary", {}, "The numbers"), scroller("The numbers"));
    this.table.addEventListener("toggle", () => this.#tabulate());
    this.element = h(
      "section",
      { class: "card", hidden: true }, // Until there is an epoch.
      h("div", { class: "head" }, h("h2", { class: "grow" }, "Learning curve"), this.#tools()),
      (this.names = h("div")),
      this.chart.box,
      this.#slide(),
      (this.asideHead = h("div", { class: "tools" })),
      this.below.box,
      this.table,
    );
    window.addEventListener("recolored", () => this.#again(), { signal });
    signal.addEventListener(
      "abort",
      () => (clearTimeout(this.#due), this.chart.forget(), this.below.forget()),
      { once: true },
    );
    this.gone = signal;
  }

  /** Drawn at once, or soon where it was drawn just now. */
  show(curve, job) {
    Object.assign(this, { curve, job });
    this.element.hidden = false;
    if (this.#due) return;
    const wait = Math.max(0, this.#drawnAt + BETWEEN_DRAWINGS - performance.now());
    this.#due = setTimeout(() => requestAnimationFrame(() => this.#draw()), wait);
  }

  // Drawing -----------------------------------------------------------------------------------------------

  #draw() {
    this.#due = null;
    if (this.gone.aborted || !this.curve) return;
    this.#drawnAt = performance.now();
    this.#offer();
    const { epochs } = this.curve;
    const pair = this.#pair();
    const best = this.best();
    const lines = pair.map(({ name, hue, width }) => ({
      x: epochs,
      y: smoothed(this.curve.values(name), this.#weight),
      color: color(hue),
      width,
    }));
    const faint = this.#weight
      ? pair.map(({ name, hue }) => ({
          x: epochs,
          y: this.curve.values(name),
          color: color(hue),
          width: 1,
          alpha: 0.25,
        }))
      : [];
    const bands =
      pair.length === 2 ? [{ x: epochs, low: lines[0].y, high: lines[1].y, color: color("val") }] : [];
    const marks = best ? [{ x: best, label: `best · epoch ${best}` }] : [];
    if (this.curve.stopped && this.curve.stopped !== best)
      marks.push({ x: this.curve.stopped, label: `stopped · epoch ${this.curve.stopped}` });
    const place = epochs.indexOf(best);
    const heights = pair.map(({ name, hue }) => ({
      x: best,
      y: this.curve.values(name)[place],
      color: color(hue),
    }));
    const points = place < 0 ? [] : heights.filter(({ y }) => y !== null && y !== undefined).slice(-1);
    this.chart.draw({ lines: [...faint, ...lines], bands, marks, points, log: this.#log });
    this.chart.describe(this.#inWords(best));
    this.#drawBelow();
    this.#read();
    this.#tabulate();
  }

  #drawBelow() {
    const names = (ASIDES[this.#aside] ?? []).filter((name) => this.curve.series.has(name));
    const hues = ["hue-3", "hue-7"];
    this.below.draw({
      lines: names.map((name, at) => ({
        x: this.curve.epochs,
        y: this.curve.values(name),
        color: color(hues[at]),
      })),
    });
    this.below.describe(`${this.#aside ?? ""}: ${names.map((name) => this.#atTheEnd(name)).join(", ")}`);
    fill(
      this.asideNames,
      names.map((name, at) =>
        h("span", { class: "entry" }, h("i", { style: { "--hue": `var(--${hues[at]})` } }), plain(name)),
      ),
    );
  }

  #again() {
    this.chart.forget();
    this.below.forget();
    this.#draw();
  }

  /** The series of the chosen metric: of training, and of validation where there is one. */
  #pair() {
    if (this.#metric === "objective")
      return [{ name: "objective", label: "objective", hue: "hue-7", width: 2 }];
    const both = [
      ["train", "train", 1.8],
      ["val", "validation", 2.4],
    ].map(([split, label, width]) => ({ name: `${split}_${this.#metric}`, label, hue: split, width }));
    return both.filter(
      ({ name }) => this.curve.series.has(name) && this.curve.values(name).some((value) => value !== null),
    );
  }

  /** The API's word on which epoch is the best; while training, the lowest validation loss so far. */
  best() {
    if (this.curve.best) return this.curve.best;
    const place = indexOfLowest(this.curve.values("val_loss"));
    return place < 0 ? null : this.curve.epochs[place];
  }

  #atTheEnd(name) {
    return `${plain(name)} ${number(this.curve.values(name).at(-1))}`;
  }

  #inWords(best) {
    const parts = this.#pair().map(({ name, label }) => `${label} ${number(this.curve.values(name).at(-1))}`);
    const told = `Learning curve of ${plain(this.#metric)} over ${this.curve.last} epochs.`;
    return [told, `At the end: ${parts.join(", ")}.`, best && `Best epoch ${best}.`]
      .filter(Boolean)
      .join(" ");
  }

  // What can be chosen ------------------------------------------------------------------------------------

  #tools() {
    const redraw = () => this.#draw();
    this.metrics = h("select", {
      onchange: (event) => ((this.#metric = event.target.value), this.#drawLegend(), redraw()),
    });
    const asked = switches({
      log: (isOn) => ((this.#log = isOn), redraw()),
      smooth: (weight) => ((this.#weight = weight), redraw()),
    });
    return h("div", { class: "tools" }, h("label", {}, "Metric", this.metrics), asked);
  }

  /** Choices follow what the curve has; drawn anew only where that changed. */
  #offer() {
    const known = this.curve.names
      .filter((name) => name.startsWith("train_"))
      .map((name) => name.slice("train_".length));
    const metrics = [...known, ...(this.curve.series.has("objective") ? ["objective"] : [])];
    if (String(metrics) === String(this.offered)) return;
    this.offered = metrics;
    fill(
      this.metrics,
      metrics.map((name) => h("option", { value: name, selected: name === this.#metric }, plain(name))),
    );
    this.#offerAsides();
    this.#drawLegend();
  }

  #offerAsides() {
    const telling = (names) => names.some((name) => this.curve.values(name).some((value) => value));
    const found = Object.keys(ASIDES).filter((aside) => telling(ASIDES[aside]));
    this.#aside ??= found[0] ?? "learning rate";
    const choice = h(
      "select",
      {
        "aria-label": "What is shown below",
        onchange: (event) => ((this.#aside = event.target.value), this.#draw()),
      },
      Object.keys(ASIDES).map((name) => h("option", { value: name, selected: name === this.#aside }, name)),
    );
    this.asideNames = h("span", { class: "legend" });
    fill(this.asideHead, choice, this.asideNames);
  }

  #drawLegend() {
    this.legend = legend([
      ...this.#pair().map(({ label, hue }) => ({ name: label, color: `var(--${hue})` })),
      ...(this.#pair().length === 2
        ? [{ name: "generalization gap", color: "var(--val)", kind: "band" }]
        : []),
    ]);
    fill(this.names, this.legend.element);
  }

  // Reading one epoch -------------------------------------------------------------------------------------

  #slide() {
    this.slider = h("input", {
      type: "range",
      min: 1,
      max: 1,
      value: 1,
      "aria-label": "Read the curve at an epoch",
      oninput: (event) => this.#point(Number(event.target.value)),
    });
    return h("div", { class: "slide" }, this.slider);
  }

  #point(epoch) {
    this.#at = epoch === null ? null : nearest(this.curve.epochs, epoch);
    const shown = this.#at === null ? null : this.curve.epochs[this.#at];
    this.chart.point(shown);
    this.below.point(shown);
    this.#read();
  }

  #read() {
    const { epochs } = this.curve;
    const at = this.#at ?? epochs.length - 1;
    Object.assign(this.slider, { min: epochs[0] ?? 1, max: this.curve.last || 1 });
    if (document.activeElement !== this.slider || this.#at === null) this.slider.value = epochs[at] ?? 1;
    const pair = this.#pair();
    const values = pair.map(({ name }) => this.curve.values(name)[at] ?? null);
    const gap =
      values.length === 2 && values.every((value) => value !== null)
        ? ` · gap ${number(values[1] - values[0], 3)}`
        : "";
    const told = pair.map(({ label }, index) => `${label} ${number(values[index])}`).join(" · ");
    if (at >= 0) this.legend.read(`epoch ${epochs[at]} · ${told}${gap}`);
    this.slider.setAttribute("aria-valuetext", this.legend.element.lastChild.textContent);
  }

  #tabulate() {
    if (!this.table.open || !this.curve) return;
    const names = this.curve.names;
    const step = Math.ceil(this.curve.epochs.length / 200);
    const places = this.curve.epochs
      .map((_, place) => place)
      .filter((place) => place % step === 0 || place === this.curve.epochs.length - 1);
    const { epochs } = this.curve;
    const cells = places.map((place) => [
      String(epochs[place]),
      ...names.map((name) => number(this.curve.values(name)[place])),
    ]);
    fill(
      this.table.lastChild,
      table("The curve in numbers", ["epoch", ...figures(...names.map(plain))], cells),
    );
  }
}

/** The place of the epoch nearest to some number. */
function nearest(epochs, epoch) {
  let [low, high] = [0, epochs.length - 1];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    epochs[middle] < epoch ? (low = middle) : (high = middle);
  }
  return high > low && Math.abs(epochs[high] - epoch) < Math.abs(epochs[low] - epoch)
    ? high
    : Math.max(low, 0);
}
