// The table of jobs: live, filtered, a page at a time.

import { Away, Problem, Watched, every, get, query } from "./calls.js";
import { Curve, indexOfLowest } from "./curve.js";
import { Kept, fill, h, say } from "./elements.js";
import { spark } from "./spark.js";
import { cocktail, pill, progressBar } from "./standing.js";
import { ago, called, headline, moment, number } from "./words.js";

const PAGE = 50;
const OVERLAID = 20; // As many curves as one call tells.
const TYPING_MILLISECONDS = 300;
const STATUSES = ["queued", "running", "paused", "succeeded", "failed", "cancelled"];

export async function open(main, { values, signal }) {
  const page = new JobsPage(main, Object.fromEntries(values), signal);
  await page.run();
}

class JobsPage {
  constructor(main, chosen, signal) {
    Object.assign(this, {
      chosen,
      signal,
      // Where somebody had paged to comes back with the browser's own Back.
      trail: history.state?.trail ?? [],
      cursor: history.state?.cursor ?? null,
      picked: new Set(),
      curves: new Map(),
      drawn: new Map(),
    });
    this.watched = new Watched();
    this.body = h("tbody");
    this.rows = new Kept(
      this.body,
      (job) => job.id,
      (job) => this.#row(job),
    );
    this.empty = h("p", { class: "empty", hidden: true });
    fill(
      main,
      h("div", { class: "head" }, h("h1", {}, "Jobs"), this.#filters()),
      this.#table(),
      this.empty,
      this.#foot(),
    );
  }

  async run() {
    await this.#look();
    await every(1, this.signal, () => this.#look());
  }

  async #look() {
    const path = `/v1/jobs${query({ ...this.chosen, limit: PAGE, cursor: this.cursor })}`;
    const answer = await this.watched.read(path, this.signal);
    if (answer) this.#show(answer);
    else this.rows.show(this.answer.data); // Nothing is new but how long ago it was.
    await this.#fetchCurves();
  }

  #show(answer) {
    this.answer = answer;
    this.rows.show(answer.data);
    this.older.disabled = !answer.next;
    this.newer.disabled = !this.trail.length;
    this.empty.hidden = answer.data.length > 0;
    const isNarrowed = query(this.chosen) !== "";
    if (!answer.data.length) {
      fill(
        this.empty,
        isNarrowed
          ? "No job is like that."
          : [
              "No jobs yet. ",
              h("a", { href: "#/new" }, "Submit the first one"),
              " — a name of a dataset is enough.",
            ],
      );
    }
  }

  // The rows ----------------------------------------------------------------------------------------------

  #table() {
    const heads = [
      "",
      "Job",
      "Dataset",
      "Status",
      "Progress",
      "Losses",
      "Best validation",
      "Gap",
      "Submitted",
    ];
    return h(
      "div",
      { class: "card flat scroll" },
      h(
        "table",
        { class: "jobs" },
        h("caption", { class: "unseen" }, "Jobs, the newest first"),
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            heads.map((head, at) =>
              h(
                "th",
                { scope: "col", class: at > 5 && at < 8 ? "right" : null },
                head || h("span", { class: "unseen" }, "Compare"),
              ),
            ),
          ),
        ),
        this.body,
      ),
    );
  }

  #row(job) {
    const [status, progress, small] = [pill(), progressBar(), spark()];
    const [best, gap] = [h("td", { class: "right figure" }), h("td", { class: "right figure" })];
    const when = h("td", { class: "small muted nowrap", title: moment(job.created_at) });
    const pick = h("input", {
      type: "checkbox",
      "aria-label": `Compare ${called(job)}`,
      checked: this.picked.has(job.id),
      onchange: () => this.#pick(job.id, pick.checked),
    });
    const element = h(
      "tr",
      {},
      h("td", { class: "pick" }, pick),
      h(
        "td",
        { class: "name" },
        h("a", { href: `#/jobs/${job.id}`, title: called(job) }, called(job)),
        h("span", { class: "small muted techniques" }, cocktail(job.spec)),
      ),
      h(
        "td",
        { class: "dataset" },
        h(
          "a",
          { class: "plain", href: `#/datasets/${job.dataset.id}`, title: job.dataset.name },
          job.dataset.name,
        ),
      ),
      h("td", {}, status.element),
      h("td", {}, progress.element),
      h("td", {}, small.element),
      best,
      gap,
      when,
    );
    this.drawn.set(job.id, (curve) => small.show(curve));
    if (this.curves.has(job.id)) small.show(this.curves.get(job.id));
    const update = (now) => {
      [status, progress].forEach((part) => part.update(now));
      const so = this.#soFar(now);
      fill(
        best,
        so.value === null ? "—" : [h("span", { class: "muted small" }, `${so.name} `), number(so.value)],
      );
      say(gap, number(so.gap, 3));
      say(when, ago(now.created_at));
    };
    return { element, update };
  }

  /** The result where there is one, else what the curve tells of a job that is still training. */
  #soFar(job) {
    if (job.result) return { ...headline(job), gap: job.result.generalization_gap ?? null };
    const curve = this.curves.get(job.id);
    const place = curve ? indexOfLowest(curve.values("val_loss")) : -1;
    if (place < 0) return { name: "", value: null, gap: null };
    const value = curve.values("val_loss")[place];
    return { name: "loss", value, gap: value - curve.values("train_loss")[place] };
  }

  /** Curves of what trains again and again, of what has ended once. */
  async #fetchCurves() {
    const wanted = (this.answer?.data ?? []).filter(
      (job) => job.progress.epoch > (this.curves.get(job.id)?.last ?? 0),
    );
    for (let at = 0; at < wanted.length; at += OVERLAID) {
      const ids = wanted.slice(at, at + OVERLAID).map(({ id }) => id);
      const asked = query({ jobs: ids.join(","), series: "train_loss,val_loss", max_points: 60 });
      const { curves } = await get(`/v1/curves${asked}`, { signal: this.signal }).catch(withoutThem);
      for (const answer of curves) {
        const curve = Curve.of(answer);
        this.curves.set(answer.job_id, curve);
        this.drawn.get(answer.job_id)?.(curve);
      }
    }
    const shown = new Set(this.answer?.data.map(({ id }) => id));
    for (const known of [this.curves, this.drawn])
      for (const id of known.keys()) if (!shown.has(id)) known.delete(id);
    if (wanted.length) this.rows.show(this.answer.data);
  }

  // Choosing ----------------------------------------------------------------------------------------------

  #filters() {
    const change = (name) => (event) => this.#narrow({ ...this.chosen, [name]: event.target.value.trim() });
    const soon = (name) => (event) => {
      clearTimeout(this.typing);
      this.typing = setTimeout(() => change(name)(event), TYPING_MILLISECONDS);
    };
    const status = h(
      "select",
      { "aria-label": "Status", onchange: change("status") },
      h("option", { value: "" }, "any status"),
      STATUSES.map((one) => h("option", { value: one, selected: this.chosen.status === one }, one)),
    );
    const field = (name, label) =>
      h("input", {
        type: "search",
        placeholder: label,
        "aria-label": label,
        value: this.chosen[name] ?? "",
        oninput: soon(name),
      });
    return h(
      "div",
      { class: "filters", role: "search" },
      status,
      field("name", "whole name"),
      field("dataset", "dataset"),
    );
  }

  /** In place, so that the keyboard stays where it is; the address follows. */
  #narrow(chosen) {
    this.chosen = chosen;
    this.trail = [];
    this.#turn(null, `#/jobs${query(chosen)}`);
  }

  #pick(id, isPicked) {
    isPicked ? this.picked.add(id) : this.picked.delete(id);
    const { size } = this.picked;
    this.compare.hidden = size < 2;
    say(
      this.compare,
      size > OVERLAID ? `${size} jobs: at most ${OVERLAID} can be compared` : `Compare ${size} jobs`,
    );
    if (size > OVERLAID) this.compare.removeAttribute("href");
    else this.compare.href = `#/compare?jobs=${[...this.picked].join(",")}`;
  }

  #foot() {
    this.newer = h(
      "button",
      { type: "button", disabled: true, onclick: () => this.#turn(this.trail.pop()) },
      "Newer",
    );
    this.older = h(
      "button",
      {
        type: "button",
        disabled: true,
        onclick: () => (this.trail.push(this.cursor), this.#turn(this.answer.next)),
      },
      "Older",
    );
    this.compare = h("a", { class: "button primary", hidden: true });
    return h("div", { class: "foot" }, this.compare, h("span", { class: "grow" }), this.newer, this.older);
  }

  /** To another page of the list; where the server is away, the next look goes there. */
  async #turn(cursor, address = location.hash) {
    this.cursor = cursor;
    this.older.disabled = this.newer.disabled = true;
    history.replaceState({ trail: this.trail, cursor }, "", address);
    await this.#look().catch((error) => {
      if (!(error instanceof Away) && !this.signal.aborted) throw error;
    });
  }
}

/** A job of the page has been deleted meanwhile; the next look has a page without it. */
function withoutThem(error) {
  if (error instanceof Problem && error.status === 404) return { curves: [] };
  throw error;
}
