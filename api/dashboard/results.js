// How good the network is: the splits side by side.

import { card, h, scroller } from "./elements.js";
import { figures, table } from "./table.js";
import { number, plain } from "./words.js";

const SPLITS = ["train", "validation", "test"];

/** The card of a job that has a result. */
export function results(job) {
  const { result } = job;
  const splits = SPLITS.filter((split) => result[split]);
  const metrics = new Set(splits.flatMap((split) => Object.keys(result[split])));
  metrics.delete("nonfinite");
  const told = (split, metric) => result[split].nonfinite?.[metric] ?? number(result[split][metric]);
  const rows = [...metrics].map((metric) => [plain(metric), ...splits.map((split) => told(split, metric))]);
  const caption = "Loss and metrics of each split at the restored weights";
  const splitsTable = table(caption, [{ text: "Metric", unseen: true }, ...figures(...splits)], rows);
  return card("Result", scroller("Result", splitsTable), h("p", { class: "small muted" }, inWords(result)));
}

function inWords({ restored_epoch, best_epoch, last_epoch, generalization_gap: gap, test }) {
  const parts = [
    `The weights of epoch ${restored_epoch ?? best_epoch} of ${last_epoch}.`,
    (gap ?? null) !== null && `Generalization gap ${number(gap, 3)} (validation loss minus training loss).`,
    test && "The test rows were looked at once, with these weights.",
  ];
  return parts.filter(Boolean).join(" ");
}
