// The jobs that somebody has ticked, wherever and on however many pages of a list; the tab keeps them.

import { h } from "./elements.js";
import { called } from "./words.js";

const KEY = "ridgeline-ticked";

/** What is known of each: its id, what it is called, its status. Tells of `change`. */
class Ticked extends EventTarget {
  #jobs = new Map();

  constructor() {
    super();
    try {
      for (const job of JSON.parse(sessionStorage.getItem(KEY) ?? "[]")) this.#jobs.set(job.id, job);
    } catch {
      sessionStorage.removeItem(KEY);
    }
  }

  get jobs() {
    return [...this.#jobs.values()];
  }

  has(id) {
    return this.#jobs.has(id);
  }

  set(job, isTicked) {
    this.setAll([job], isTicked);
  }

  setAll(jobs, isTicked) {
    for (const job of jobs) isTicked ? this.#jobs.set(job.id, summaryOf(job)) : this.#jobs.delete(job.id);
    this.#tell();
  }

  /** Jobs as they are now: those that are ticked may have ended meanwhile, or have another name. */
  note(jobs) {
    const changed = jobs.map(summaryOf).filter((job) => {
      const known = this.#jobs.get(job.id);
      return known && JSON.stringify(known) !== JSON.stringify(job);
    });
    for (const job of changed) this.#jobs.set(job.id, job);
    if (changed.length) this.#tell();
  }

  clear() {
    if (!this.#jobs.size) return;
    this.#jobs.clear();
    this.#tell();
  }

  #tell() {
    if (this.#jobs.size) sessionStorage.setItem(KEY, JSON.stringify(this.jobs));
    else sessionStorage.removeItem(KEY);
    this.dispatchEvent(new Event("change"));
  }
}

const summaryOf = (job) => ({ id: job.id, name: job.name, status: job.status });

export const ticked = new Ticked();

/** A box that ticks a job, wherever it is shown; it follows the other boxes until the signal. */
export function tickBox(job, signal) {
  const box = h("input", {
    type: "checkbox",
    "aria-label": `Tick ${called(job)}`,
    onchange: () => ticked.set(job, box.checked),
  });
  const follow = () => (box.checked = ticked.has(job.id));
  ticked.addEventListener("change", follow, { signal });
  follow();
  return box;
}

/** A box for all the jobs of a page, `jobs()`. */
export function tickAll(jobs, signal) {
  const box = h("input", {
    type: "checkbox",
    "aria-label": "Tick all on this page",
    onchange: () => ticked.setAll(jobs(), box.checked),
  });
  const follow = () => {
    const here = jobs();
    const some = here.filter(({ id }) => ticked.has(id)).length;
    box.disabled = here.length === 0;
    box.checked = some > 0 && some === here.length;
    box.indeterminate = some > 0 && some < here.length;
  };
  ticked.addEventListener("change", follow, { signal });
  follow();
  return { element: box, follow };
}
