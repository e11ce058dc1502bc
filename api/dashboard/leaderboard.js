// The jobs of a dataset, the best first by a metric on validation rows that can be chosen.

import { Watched, every, get, query } from "./calls.js";
import { fill, h, noticeList, say, scroller } from "./elements.js";
import { Metrics, inWords, parts, valueOf } from "./metrics.js";
import { cocktail, pill } from "./standing.js";
import { tickAll, tickBox, ticked } from "./ticked.js";
import { ago, called, duration, headline, number } from "./words.js";

const MOST = 10;
const LOOKED_AT = 50; // Jobs by which it is told what the main metric is.
const SECONDS = 3;

/** The card; it follows what happens to the jobs until the signal. */
export class Leaderboard {
  constructor(dataset, signal) {
    Object.assign(this, { dataset, signal, watched: new Watched(), rows: new AbortController() });
    this.choice = h("select", { onchange: () => this.#choose(this.choice.value) });
    this.all = h("a", { class: "button small" }, "All, the best first");
    this.body = scroller("Leaderboard");
    this.notices = h("div", { class: "place" });
    this.note = h("p", { class: "small muted" });
    this.element = h(
      "section",
      { class: "card" },
      h(
        "div",
        { class: "head" },
        h("h2", { class: "grow" }, "Best jobs"),
        h("div", { class: "tools" }, h("label", {}, "By", this.choice)),
        this.all,
      ),
      this.notices,
      this.body,
      this.note,
    );
  }

  async run() {
    const asked = query({ dataset: this.dataset.id, limit: LOOKED_AT });
    const [metrics, { data }] = await Promise.all([
      Metrics.fetch(),
      get(`/v1/jobs${asked}`, { signal: this.signal }),
    ]);
    this.metrics = metrics;
    this.#offer(data);
    await every(SECONDS, this.signal, () => this.#look());
  }

  /** The metrics that fit the task; at first the one that most of the jobs name first. */
  #offer(jobs) {
    const names = this.metrics.names(this.dataset.task);
    const often = (name) => jobs.filter((job) => headline(job).name === name).length;
    const [main] = [...names].sort((a, b) => often(b) - often(a));
    const options = (split) => names.map((name) => option(`${split}_${name}`, split === "val" && name === main));
    fill(
      this.choice,
      h("optgroup", { label: "Validation" }, options("val")),
      h("optgroup", { label: "Test: to report by, not to choose by" }, options("test")),
    );
    this.key = `val_${main}`;
  }

  async #choose(key) {
    this.key = key;
    await this.#look();
  }

  async #look() {
    const { key } = this;
    const sort = this.metrics.bestFirst(key);
    const asked = query({ dataset: this.dataset.id, sort, limit: MOST });
    const answer = await this.watched.read(`/v1/jobs${asked}`, this.signal);
    if (!answer || key !== this.key || this.signal.aborted) return;
    this.all.href = `#/jobs${query({ dataset: this.dataset.id, sort })}`;
    ticked.note(answer.data);
    fill(this.notices, noticeList(answer.notices));
    this.#show(answer.data, Boolean(answer.next));
  }

  #show(jobs, hasMore) {
    const held = document.activeElement?.dataset?.job; // Whose box has the keyboard has it afterwards too.
    this.rows.abort();
    this.rows = new AbortController();
    const until = AbortSignal.any([this.signal, this.rows.signal]);
    if (!jobs.length) {
      say(this.note, "");
      return void fill(this.body, h("p", { class: "empty" }, "Nothing has been trained on it yet."));
    }
    const [split, metric] = parts(this.key);
    const keys = split === "val" && metric !== "loss" ? [this.key, "val_loss"] : [this.key];
    const all = tickAll(() => jobs, until);
    const made = h(
      "table",
      { class: "small leaderboard" },
      h("caption", { class: "unseen" }, `Jobs on ${this.dataset.name}, the best ${inWords(this.key)} first`),
      h("thead", {}, h("tr", {}, heads(keys, all.element))),
      h(
        "tbody",
        {},
        jobs.map((job, place) => boardRow(job, place + 1, keys, until)),
      ),
    );
    fill(this.body, made);
    all.follow();
    if (held) this.body.querySelector(`input[data-job="${held}"]`)?.focus();
    say(this.note, hasMore ? `The first ${jobs.length}. Tick some to compare them.` : "Tick some to compare them.");
  }
}

function heads(keys, all) {
  const head = (text, className) => h("th", { scope: "col", class: className }, text);
  return [
    h("td", { class: "pick" }, all),
    head(h("span", { class: "unseen" }, "Rank"), "right"),
    head("Job"),
    head("Status"),
    keys.map((key) => head(inWords(key), "right")),
    ["Gap", "Took"].map((text) => head(text, "right")),
    head("Submitted"),
  ];
}

function boardRow(job, rank, keys, signal) {
  const box = tickBox(job, signal);
  box.dataset.job = job.id;
  const values = keys.map((key) => valueOf(job, key));
  const figures = [...values.map((value) => number(value)), number(job.result?.generalization_gap, 3)];
  return h(
    "tr",
    {},
    h("td", { class: "pick" }, box),
    h("td", { class: "right figure muted" }, values[0] === null ? "" : String(rank)),
    h(
      "th",
      { scope: "row", class: "name" },
      h("a", { href: `#/jobs/${job.id}`, dir: "auto", title: called(job) }, called(job)),
      h("span", { class: "muted techniques" }, cocktail(job.spec)),
    ),
    h("td", {}, pill(job.status).element),
    [...figures, duration(job.duration_seconds)].map((text) => h("td", { class: "right figure" }, text)),
    h("td", { class: "muted nowrap" }, ago(job.created_at)),
  );
}

const option = (key, isSelected) => h("option", { value: key, selected: isSelected }, inWords(key));
