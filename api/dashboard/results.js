// How good the network is: the splits side by side.

import { card, h, scroller } from "./elements.js";
import { number, plain } from "./words.js";

const SPLITS = ["train", "validation", "test"];

/** The card of a job that has a result. */
export function results(job) {
  const { result } = job;
  const splits = SPLITS.filter((split) => result[split]);
  const metrics = [...new Set(splits.flatMap((split) => Object.keys(result[split])))].filter((name) => name !== "nonfinite");
  const told = (split, metric) => result[split].nonfinite?.[metric] ?? number(result[split][metric]);
  const table = h("table", {},
    h("caption", { class: "unseen" }, "Loss and metrics of each split at the restored weights"),
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, h("span", { class: "unseen" }, "Metric")), splits.map((split) => h("th", { scope: "col", class: "right" }, split)))),
    h("tbody", {}, metrics.map((metric) => h("tr", {}, h("th", { scope: "row" }, plain(metric)), splits.map((split) => h("td", { class: "right figure" }, told(split, metric)))))));
  const gap = result.generalization_gap;
  return card("Result", scroller("Result", table), h("p", { class: "small muted" },
    `The weights of epoch ${result.restored_epoch ?? result.best_epoch} of ${result.last_epoch}. `,
    gap === null || gap === undefined ? "" : `Generalization gap ${number(gap, 3)} (validation loss minus training loss). `,
    result.test ? "The test rows were looked at once, with these weights." : ""));
}
