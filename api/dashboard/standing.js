// How a job stands, in a word, a bar or a line.

import { h, say } from "./elements.js";
import { count, duration, number, plain } from "./words.js";

/** The statuses that a job never leaves. */
export const FINAL = ["succeeded", "failed", "cancelled"];

/** A status in its colour, said in words too. */
export function pill(status) {
  const element = h("span", { class: "pill" });
  const update = (job) => {
    const asked = job.requested_action ? `, ${job.requested_action} asked` : "";
    element.dataset.status = job.status;
    say(element, plain(job.status) + asked);
  };
  if (status) update({ status });
  return { element, update };
}

/** How far a job is, and how long it will take at most; `isBrief` where what else is told of it is not beside it. */
export function progressBar({ isBrief = false } = {}) {
  const bar = h("progress", { max: 1, value: 0, "aria-label": "Progress" });
  const told = h("span", { class: "small muted" });
  const update = (job) => {
    const { status, progress, waiting } = job;
    bar.value = progress.fraction;
    bar.hidden = FINAL.includes(status) || status === "queued";
    say(
      told,
      status === "queued" && !progress.epoch
        ? inLine(waiting)
        : inWords(FINAL.includes(status), progress) + (isBrief ? howItEnded(job) : ""),
    );
  };
  return { element: h("div", { class: "progress" }, bar, told), update };
}

/** Why a job still waits, and behind how many: known of one that was asked for by itself. */
function inLine(waiting) {
  if (!waiting) return "waiting for a worker";
  const many = waiting.ahead_is_exact ? count(waiting.ahead) : `${count(waiting.ahead)} or more`;
  const place = waiting.ahead ? `${many} before it in the queue ${waiting.queue}` : "the next in its queue";
  return waiting.notice ? `${waiting.notice} Its place: ${place}.` : `waiting for a worker: ${place}`;
}

/** How long an ended job took, or why it failed. */
function howItEnded({ status, stop_reason, duration_seconds, progress }) {
  if (!FINAL.includes(status)) return "";
  const took = duration_seconds === null ? "" : duration(duration_seconds);
  const told = status === "failed" ? plain(stop_reason) : took;
  return progress.epoch && told ? ` · ${told}` : told;
}

function inWords(isOver, { epoch, max_epochs, eta_seconds }) {
  if (!epoch) return "";
  if (isOver) return epoch === 1 ? "1 epoch" : `${count(epoch)} epochs`;
  const eta = eta_seconds === null ? "" : ` · ≤ ${duration(eta_seconds)}`; // Early stopping may come sooner.
  return `${count(epoch)} / ${count(max_epochs)}${eta}`;
}

/** The techniques of a spec in a few words: `dropout 0.2 · L2 1e−4 · batch norm`. */
export function cocktail(spec) {
  const { l1, l2, dropout, batch_norm, early_stopping, ...others } = spec.regularization ?? {};
  const words = [
    l1?.strength && `L1 ${number(l1.strength, 2)}`,
    l2?.strength && `L2 ${number(l2.strength, 2)}`,
    dropout && rates(dropout),
    batch_norm && "batch norm",
    early_stopping && "early stopping",
    ...Object.keys(others)
      .filter((name) => others[name])
      .map(plain),
  ];
  return words.filter(Boolean).join(" · ") || "no regularization";
}

function rates({ input, hidden }) {
  const told = [...new Set([hidden].flat())].map((rate) => number(rate, 2)).join(", ");
  if (told && told !== "0") return `dropout ${told}`;
  return input ? `input dropout ${number(input, 2)}` : null;
}
