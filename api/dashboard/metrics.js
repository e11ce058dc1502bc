// Metrics by the names that lists are sorted by: `val_loss`, `test_roc_auc`; which way is better, and whose is best.

import { catalog } from "./calls.js";
import { plain } from "./words.js";

const SPLITS = { train: "train", val: "validation", test: "test" };

/** `val_roc_auc` → `["val", "roc_auc"]`; null for any other name. */
export function parts(key) {
  const found = /^(train|val|test)_(.+)$/.exec(key ?? "");
  return found ? found.slice(1) : null;
}

/** `val_roc_auc` → `validation roc auc`. */
export function inWords(key) {
  const [split, metric] = parts(key);
  return `${SPLITS[split]} ${plain(metric)}`;
}

/** What a job has under such a name; null where it has none. */
export function valueOf(job, key) {
  const [split, metric] = parts(key);
  return job.result?.[SPLITS[split]]?.[metric] ?? null;
}

/** What the catalog tells of metrics. */
export class Metrics {
  #known = new Map();

  static async fetch() {
    const metrics = new Metrics();
    for (const one of (await catalog()).metrics) metrics.#known.set(one.name, one);
    return metrics;
  }

  /** `loss`, then the metrics that fit a task, or all of them. */
  names(task = null) {
    const fits = ({ tasks }) => !task || tasks.some((one) => (one === "regression") === (task === "regression"));
    return ["loss", ...[...this.#known.values()].filter(fits).map(({ name }) => name)];
  }

  isHigherBetter(metric) {
    return this.#known.get(metric)?.better === "higher";
  }

  /** How a list is sorted by it with the best first. */
  bestFirst(key) {
    return this.isHigherBetter(parts(key)[1]) ? `-${key}` : key;
  }

  /** Whether one value is better than another under this name. */
  isBetter(metric, one, other) {
    return this.isHigherBetter(metric) ? one > other : one < other;
  }
}

/**
 * Of some `{ id, value, group }` the ids of the best of each group: nothing of a group that has one value alone,
 * and several where they are equal.
 */
export function bestOf(entries, metric, metrics) {
  const groups = Map.groupBy(
    entries.filter(({ value }) => (value ?? null) !== null),
    ({ group }) => group,
  );
  const best = [...groups.values()].flatMap((some) => {
    if (some.length < 2) return [];
    const top = some.reduce((a, b) => (metrics.isBetter(metric, b.value, a.value) ? b : a));
    return some.filter(({ value }) => value === top.value);
  });
  return new Set(best.map(({ id }) => id));
}
