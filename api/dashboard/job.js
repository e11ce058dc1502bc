// One job: its live curve, what came of it and what to try next.

import { Problem, Watched, call, events, every, get, query, send } from "./calls.js";
import { bokeh } from "./bokeh.js";
import { Curve } from "./curve.js";
import { About } from "./about.js";
import { Kept, announce, card, entitle, fill, h, save, say, sure } from "./elements.js";
import { standing } from "./ending.js";
import { Learning } from "./learning.js";
import { Log } from "./log.js";
import { predictions } from "./predictions.js";
import { results } from "./results.js";
import { FINAL, cocktail, pill, progressBar } from "./standing.js";
import { judge } from "./verdict.js";
import { ticked } from "./ticked.js";
import { weights } from "./weights.js";
import { called, duration, moment, number, percent, plain } from "./words.js";

const POINTS = 2000; // Of a curve that is fetched; more than there are pixels.
const JUDGED_SECONDS = 5;
const ACTIONS = {
  pause: { label: "Pause" },
  resume: { label: "Resume" },
  finish: {
    label: "Finish",
    sure: "Training ends after this epoch, the best weights are restored, and the job succeeds.",
  },
  cancel: {
    label: "Cancel",
    danger: true,
    sure: "The job ends and cannot succeed any more. Its best weights so far are kept.",
  },
  delete: {
    label: "Delete",
    danger: true,
    sure: "The job is gone for good, with its curve, its log and its weights.",
  },
};

export async function open(main, { id, values, signal }) {
  bokeh().catch(() => {}); // Fetched beside what is to be drawn; the chart says so if it failed.
  const page = new JobPage(main, id, values.get("after"), signal);
  await page.run();
}

class JobPage {
  constructor(main, id, origin, signal) {
    Object.assign(this, {
      main,
      origin,
      id,
      signal,
      path: `/v1/jobs/${id}`,
      watched: new Watched(),
      curve: new Curve(),
    });
  }

  async run() {
    this.job = await this.watched.read(this.path, this.signal);
    this.#lay();
    this.#tell();
    await this.#fetchCurve();
    await this.log.fetch();
    if (FINAL.includes(this.job.status)) return this.#end();
    // At once: the row for how it stands, the stream for the epochs as they come, and now and then a verdict.
    this.over = new AbortController();
    this.signal.addEventListener("abort", () => this.over.abort(), { once: true });
    await Promise.all([this.#follow(), this.#watch(), this.#judge()]);
  }

  async #watch() {
    await every(1, this.over.signal, async () => {
      const job = await this.watched.read(this.path, this.signal);
      if (job) this.#changed(job);
      if (FINAL.includes(this.job.status)) this.over.abort();
    });
  }

  /** The diagnosis of the curve so far, for as long as it grows. */
  async #judge() {
    await every(JUDGED_SECONDS, this.over.signal, async () => {
      if (this.curve.epochs.length) await this.#part(() => judge(this.verdictPlace, this.job, this.signal));
    });
  }

  async #follow() {
    for await (const event of events(this.id, this.curve.last, this.signal)) {
      if (event.kind === "epoch") this.curve.add(event.data);
      else this.log.add(event);
      if (event.kind === "rewound") await this.#fetchCurve();
      if (event.kind === "epoch" && this.curve.isDrawable) this.learning.show(this.curve, this.job);
    }
    if (this.signal.aborted) return;
    this.#changed(await get(this.path, { signal: this.signal }));
    await this.#fetchCurve();
    await this.#end();
  }

  async #fetchCurve() {
    const answer = await get(`${this.path}/curves?max_points=${POINTS}`, { signal: this.signal });
    this.curve = Curve.of(answer);
    if (this.curve.isDrawable) this.learning.show(this.curve, this.job);
  }

  #changed(job) {
    if (job.status !== this.job.status) announce(`${called(job)} is ${plain(job.status)}.`);
    this.job = job;
    this.#tell();
  }

  /** What there is only once it has ended; each part by itself, so that none waits for another. */
  async #end() {
    await Promise.all([
      this.#part(() => judge(this.verdictPlace, this.job, this.signal)),
      this.#part(async () => fill(this.weightsPlace, await weights(this.job, this.signal))),
      this.#part(async () => fill(this.predictPlace, await predictions(this.job, this.signal))),
    ]);
  }

  async #part(make) {
    try {
      await make();
    } catch (error) {
      // Weights and predictions are 404 where a job ended before there were any: then there is no card.
      if (!this.signal.aborted && !(error instanceof Problem && [404, 409].includes(error.status)))
        throw error;
    }
  }

  // What is where -----------------------------------------------------------------------------------------

  #lay() {
    Object.assign(this, {
      status: pill(),
      progress: progressBar(),
      learning: new Learning(this.signal),
      log: new Log(this.path, this.signal),
    });
    this.buttons = h("div", { class: "bar" });
    this.why = h("p", { class: "muted" });
    this.facts = new Kept(h("dl", { class: "facts" }), ([name]) => name, fact);
    this.actions = new Kept(
      this.buttons,
      (name) => name,
      (name) => this.#action(name),
    );
    this.heading = h("h1", { dir: "auto" });
    this.about = new About({
      path: this.path,
      signal: this.signal,
      read: ({ name, notes, metadata }) => ({ name, notes, metadata }),
      label: (key, value) => `#/jobs${query({ [`metadata.${key}`]: String(value) })}`,
      saved: (job) => this.#changed(job),
    });
    for (const part of ["standing", "verdict", "result", "weights", "predict", "warnings"])
      this[`${part}Place`] = h("div", { class: "place" });
    fill(
      this.main,
      h(
        "div",
        { class: "head" },
        this.heading,
        this.status.element,
        this.buttons,
      ),
      h(
        "section",
        { class: "card" },
        this.progress.element,
        this.why,
        this.facts.parent,
        this.about.element,
        this.warningsPlace,
      ),
      this.standingPlace,
      this.verdictPlace,
      this.learning.element,
      h(
        "div",
        { class: "columns" },
        h("div", { class: "column" }, this.resultPlace, this.predictPlace, card("Log", this.log.element)),
        h("div", { class: "column" }, this.weightsPlace, this.#specCard()),
      ),
    );
  }

  #tell() {
    const { job } = this;
    const { status, progress } = job;
    const far = status === "running" && progress.epoch ? ` ${percent(progress.fraction)}` : "";
    entitle(called(job), plain(status) + far);
    say(this.heading, called(job));
    this.status.update(job);
    this.progress.update(job);
    this.about.show(job);
    fill(this.standingPlace, standing(job));
    // Why it failed stands in a card of its own.
    say(this.why, status === "failed" ? "" : (job.stop_detail ?? ""));
    this.why.hidden = !this.why.textContent;
    this.#act();
    const facts = [
      ["Dataset", h("a", { href: `#/datasets/${job.dataset.id}` }, job.dataset.name)],
      ["Regularization", cocktail(job.spec)],
      [
        "Network",
        [widths(job.spec), job.result?.parameters && `${number(job.result.parameters)} parameters`]
          .filter(Boolean)
          .join(", "),
      ],
      ["Stopped by", job.stop_reason && plain(job.stop_reason)],
      ["Took", job.duration_seconds === null ? null : duration(job.duration_seconds)],
      ["Speed", job.progress.epochs_per_second && `${number(job.progress.epochs_per_second, 3)} epochs/s`],
      ["Submitted", moment(job.created_at)],
      ["Id", h("code", {}, job.id)],
    ];
    this.facts.show(facts.filter(([, told]) => told));
    fill(
      this.warningsPlace,
      job.warnings.length
        ? h(
            "ul",
            { class: "warnings", "aria-label": "Warnings" },
            job.warnings.map(({ pointer, detail }) => h("li", {}, h("code", {}, pointer), ` ${detail}`)),
          )
        : [],
    );
    if (job.result) fill(this.resultPlace, results(job));
  }

  #specCard() {
    const text = JSON.stringify(this.job.spec, null, 2);
    const copied = () => navigator.clipboard.writeText(text).then(() => announce("Copied."));
    // Browsers lend the clipboard to pages that came by HTTPS, or from this machine.
    const copy =
      navigator.clipboard && h("button", { type: "button", class: "small", onclick: copied }, "Copy");
    const downloads = ["csv", "png", "svg"].map((form) =>
      h(
        "button",
        { type: "button", class: "small", onclick: () => this.#download(form) },
        `Curve as ${form.toUpperCase()}`,
      ),
    );
    return card(
      null,
      h("div", { class: "bar" }, h("h2", { class: "grow" }, "Spec"), copy, downloads),
      h("pre", { tabindex: 0, "aria-label": "Spec" }, text),
      this.#environment(),
    );
  }

  #environment() {
    const { environment } = this.job;
    if (!environment) return null;
    const parts = Object.entries(environment).map(([name, value]) => `${name} ${value}`);
    return h("p", { class: "small muted" }, parts.join(" · "));
  }

  async #download(form) {
    try {
      const answer = await call(`${this.path}/curves?format=${form}`, { signal: this.signal });
      save(await answer.blob(), `${this.id}.${form}`);
    } catch (error) {
      this.#admit(error);
    }
  }

  // What can be done --------------------------------------------------------------------------------------

  #act() {
    const links = ["again", ...(this.origin ? ["compare"] : [])];
    const hadFocus = this.buttons.contains(document.activeElement);
    this.actions.show([...this.job.allowed_actions.filter((name) => name in ACTIONS), ...links]);
    // The button that was pressed may be gone now: the next one takes its place under the keyboard.
    if (hadFocus && !this.buttons.contains(document.activeElement)) this.buttons.firstElementChild.focus();
  }

  #action(name) {
    const links = {
      again: [`#/new?from=${this.id}`, "Again with changes"],
      compare: [`#/compare?jobs=${this.origin},${this.id}`, "Compare with the one before"],
    };
    if (name in links) return { element: h("a", { class: "button", href: links[name][0] }, links[name][1]) };
    const { label, danger } = ACTIONS[name];
    const act = () => this.#do(name).catch((error) => this.#admit(error));
    return { element: h("button", { type: "button", class: danger && "danger", onclick: act }, label) };
  }

  async #do(name) {
    const { label, sure: text, danger } = ACTIONS[name];
    const title = `${label} ${called(this.job)}?`;
    if (text && !(await sure({ title, text, label, danger, signal: this.signal }))) return;
    const method = name === "delete" ? "DELETE" : "POST";
    const job = await send(method, name === "delete" ? this.path : `${this.path}/${name}`);
    if (this.signal.aborted) return;
    if (!job) return ticked.set(this.job, false), void (location.hash = "#/jobs");
    this.#changed(job);
    announce(`${label} was asked for.`);
  }

  #admit(error) {
    if (this.signal.aborted) return;
    say(this.why, error.message);
    this.why.hidden = false;
    announce(error.message);
  }
}

/** A name and what is told of it; an element is told once, a text anew. */
function fact([name, told]) {
  const place = h("dd", {}, told);
  return {
    element: h("div", {}, h("dt", {}, name), place),
    update: ([, now]) => typeof now === "string" && say(place, now),
  };
}

const widths = ({ network }) => (network.hidden ?? []).join(" · ") || "linear";
