// A job's learning curve in the page's memory: its epochs in order, a list of numbers for each series.

const MOST = 4000; // Epochs kept of a live curve; beyond, every other one goes, so memory does not grow.

export class Curve {
  constructor() {
    this.epochs = [];
    this.series = new Map();
    this.best = null; // The epoch that is marked as the best, once the API says which.
    this.stopped = null;
  }

  /** From an answer of `GET …/curves`. */
  static of(answer) {
    const curve = new Curve();
    curve.epochs = answer.epochs;
    curve.series = new Map(Object.entries(answer.series));
    for (const { kind, epoch } of answer.markers) {
      if (kind === "best") curve.best = epoch;
      if (kind === "stopped") curve.stopped = epoch;
    }
    return curve;
  }

  get last() {
    return this.epochs.at(-1) ?? 0;
  }

  get names() {
    return [...this.series.keys()];
  }

  /** Whether there is a number to draw: a job that diverged in its first epoch has an epoch and none. */
  get isDrawable() {
    return ["train_loss", "val_loss"].some((name) => this.values(name).some((value) => value !== null));
  }

  values(name) {
    return this.series.get(name) ?? [];
  }

  /** An `epoch` event; one that is known already is passed over. */
  add({ epoch, values }) {
    if (epoch <= this.last) return;
    for (const name of Object.keys(values)) {
      if (!this.series.has(name))
        this.series.set(
          name,
          this.epochs.map(() => null),
        );
    }
    this.epochs.push(epoch);
    for (const [name, list] of this.series) list.push(values[name] ?? null);
    if (this.epochs.length > MOST) this.#thin();
  }

  #thin() {
    const lowest = indexOfLowest(this.values("val_loss"));
    const stays = (_, index) => index % 2 === 0 || index === lowest || index === this.epochs.length - 1;
    const chosen = this.epochs.map(stays);
    const keep = (list) => list.filter((_, index) => chosen[index]);
    for (const [name, list] of this.series) this.series.set(name, keep(list));
    this.epochs = keep(this.epochs);
  }
}

/** Where the least of some numbers is; -1 where there is none. Nulls are passed over. */
export function indexOfLowest(values) {
  let place = -1;
  values.forEach((value, index) => {
    if (value !== null && (place < 0 || value < values[place])) place = index;
  });
  return place;
}

/**
 * An exponential moving average as TensorBoard draws it, with the bias of its start taken out:
 * mₜ = w·mₜ₋₁ + (1 − w)·xₜ, shown as mₜ / (1 − wᵗ). Nulls stay nulls.
 */
export function smoothed(values, weight) {
  if (!weight) return values;
  let [mean, steps] = [0, 0];
  return values.map((value) => {
    if (value === null) return null;
    mean = weight * mean + (1 - weight) * value;
    steps += 1;
    return mean / (1 - weight ** steps);
  });
}
