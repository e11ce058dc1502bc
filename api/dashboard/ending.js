// What a job waits for, or why it ended without what was hoped for: said where the curve would be.

import { h } from "./elements.js";
import { plain, sentence } from "./words.js";

/** What to do about it, by the reason for which a job failed. */
const ADVICE = {
  diverged:
    "A lower learning rate is the first thing to try; then standardized columns and target, a warm-up, or stronger L2.",
  out_of_memory: "A smaller batch or a narrower network needs less; so does a file with fewer columns or levels.",
  worker_lost:
    "Its workers were lost again and again without a newer checkpoint. Their log says why; a smaller job may pass.",
  data_error: "What is wrong lies in the data or their split: mend the file or the split, and submit it again.",
  internal_error: "That is no fault of the spec's. The server's log says more; the same job may work again.",
};

/** A card about a job that has nothing to show, or not what was hoped for; null where there is nothing to say. */
export function standing(job) {
  if (job.status === "failed") return failed(job);
  if (job.status === "cancelled") return cancelled(job);
  if (job.status === "queued") return queued(job);
  return null;
}

function failed({ stop_reason: reason, stop_detail, error, progress }) {
  const { code, detail, ...others } = error ?? {};
  const more = Object.entries(others).filter(([, value]) => ["string", "number"].includes(typeof value));
  const isDiagnosed = reason === "diverged" && progress.epoch > 0;
  const advice = isDiagnosed ? "The diagnosis below says what to try." : ADVICE[reason];
  return box("bad", "Why it failed", plain(code ?? reason ?? "failed"), [
    h("p", {}, sentence(detail ?? stop_detail ?? "no reason was written down")),
    more.map(([name, value]) => h("p", { class: "small muted" }, `${plain(name)}: ${value}`)),
    advice && h("p", {}, advice),
  ]);
}

function cancelled({ progress, result, stop_detail }) {
  if (progress.epoch) return null; // There is a curve, and the words above it say that it was cut short.
  return box("", "Cancelled before its first epoch", null, [
    h("p", {}, `So there is no curve and no network${stop_detail ? `: ${stop_detail}` : ""}.`),
    result ? null : h("p", { class: "small muted" }, "“Again with changes” submits the same spec once more."),
  ]);
}

function queued({ progress, waiting, attempt }) {
  return box(waiting?.notice ? "warn" : "", "Waiting for a worker", null, [
    waiting?.notice && h("p", {}, sentence(waiting.notice)),
    !waiting?.notice &&
      h("p", { class: "muted" }, "It begins as soon as one is free; the curve appears here with the first epoch."),
    progress.epoch > 0 && h("p", {}, `It goes on from its last checkpoint, with attempt ${attempt + 1}.`),
  ]);
}

function box(kind, title, word, children) {
  return h(
    "section",
    { class: "card verdict", "data-kind": kind, "aria-label": title },
    h("h2", {}, title, word && h("span", { class: "pill", "data-kind": kind }, word)),
    children,
  );
}
