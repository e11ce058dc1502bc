// The table of jobs: live, narrowed, sorted, a page at a time.

import { Away, Problem, Watched, every, get, query } from "./calls.js";
import { Curve } from "./curve.js";
import { Kept, entitle, fill, h, noticeList, say } from "./elements.js";
import { sortHead } from "./heads.js";
import { entriesOf, jobRow } from "./jobrow.js";
import { labelsOf } from "./labeltext.js";
import { Metrics, bestOf, inWords, parts } from "./metrics.js";
import { Narrowing } from "./narrowing.js";
import { tickAll, ticked } from "./ticked.js";
import { headline } from "./words.js";

const PAGE = 50;
const OVERLAID = 20; // As many curves as one call tells.
const NEWEST = "-created_at"; // How a list is sorted that nobody has sorted.

export async function open(main, { values, signal }) {
  const page = new JobsPage(main, Object.fromEntries(values), signal);
  await page.run();
}

class JobsPage {
  constructor(main, chosen, signal) {
    Object.assign(this, {
      chosen,
      signal,
      metrics: new Metrics(),
      // Where somebody had paged to comes back with the browser's own Back, and with a reload.
      trail: history.state?.trail ?? [],
      cursor: history.state?.cursor ?? null,
      view: { metric: null, curves: new Map(), best: {} },
    });
    this.watched = new Watched();
    this.body = h("tbody");
    this.rows = new Kept(
      this.body,
      (job) => job.id,
      (job) => jobRow(job, this.view, signal),
    );
    this.empty = h("p", { class: "empty", hidden: true });
    this.notices = h("div", { class: "place" });
    this.narrowing = new Narrowing(chosen, (values) => this.#choose(values));
    fill(
      main,
      h("div", { class: "head" }, h("h1", {}, "Jobs"), this.narrowing.element),
      this.narrowing.wrong,
      this.notices,
      (this.box = h("div", { class: "card flat scroll" }, this.#table())),
      this.empty,
      this.#foot(),
    );
    this.#tell();
  }

  async run() {
    await Promise.all([this.#look(), this.#learn()]);
    await every(1, this.signal, () => this.#look());
  }

  async #look() {
    const { metric, ...asked } = this.chosen;
    const path = `/v1/jobs${query({ ...asked, limit: PAGE, cursor: this.cursor })}`;
    try {
      const answer = await this.watched.read(path, this.signal);
      if (answer) this.#show(answer);
      else if (this.answer) this.rows.show(this.answer.data); // Nothing is new but how long ago it was.
    } catch (error) {
      if (!(error instanceof Problem) || ![400, 422].includes(error.status)) throw error;
      return this.#refuse(error);
    }
    await this.#fetchCurves();
  }

  /** The names of the metrics, and which way each is better. */
  async #learn() {
    this.metrics = await Metrics.fetch();
    if (this.signal.aborted) return;
    this.#offer();
    if (this.answer) this.#show(this.answer);
  }

  #show(answer) {
    this.answer = answer;
    this.narrowing.complain("");
    ticked.note(answer.data);
    this.#mark();
    this.rows.show(answer.data);
    this.all.follow();
    fill(this.notices, noticeList(answer.notices));
    this.older.disabled = !answer.next;
    this.newer.disabled = !this.trail.length;
    this.empty.hidden = answer.data.length > 0;
    this.box.hidden = !this.empty.hidden;
    if (!answer.data.length) fill(this.empty, this.#nothing());
  }

  /** What was asked for makes no sense: it is said beside the fields, which stay as they are. */
  #refuse(error) {
    this.answer = { data: [], next: null };
    this.rows.show([]);
    this.box.hidden = this.empty.hidden = true;
    this.narrowing.complain(error.errors[0]?.detail ?? error.message);
  }

  #nothing() {
    const { sort, metric, ...narrowed } = this.chosen;
    if (query(narrowed)) return ["No job is like that. ", h("a", { href: "#/jobs" }, "Show all jobs")];
    return ["No jobs yet. ", h("a", { href: "#/new" }, "Submit the first one"), " — a name of a dataset is enough."];
  }

  // The table ---------------------------------------------------------------------------------------------

  #table() {
    const sorted = (sort) => this.#choose({ sort });
    this.heads = {
      name: sortHead({ sorted }),
      duration: sortHead({ sorted }),
      loss: sortHead({ sorted, right: true }),
      metric: sortHead({ sorted, right: true, className: "metric" }),
      gap: sortHead({ sorted, right: true }),
      created: sortHead({ sorted }),
    };
    const { name, duration, loss, metric, gap, created } = this.heads;
    this.all = tickAll(() => this.answer?.data ?? [], this.signal);
    const plainHead = (text, className) => h("th", { scope: "col", class: className }, text);
    return h(
      "table",
      { class: "jobs" },
      (this.caption = h("caption", { class: "unseen" })),
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          h("td", { class: "pick" }, this.all.element),
          name.element,
          plainHead("Dataset", "dataset"),
          plainHead("Status"),
          duration.element,
          plainHead("Losses", "losses"),
          [loss, metric, gap, created].map(({ element }) => element),
        ),
      ),
      this.body,
    );
  }

  get sort() {
    return this.chosen.sort ?? NEWEST;
  }

  /** The key of the metric that the list shows: the one chosen, or sorted by; null for each job's own. */
  get metric() {
    const sorted = this.sort.replace(/^-/, "");
    const isOwn = parts(sorted) && sorted !== "val_loss";
    return (parts(this.chosen.metric) && this.chosen.metric) || (isOwn ? sorted : null);
  }

  /** The heads, the title, the fields: all that follows from what is chosen. */
  #tell() {
    const { sort, metric } = this;
    const common = metric ?? this.#commonest();
    const best = common && this.metrics.bestFirst(common);
    this.view.metric = metric;
    const heads = {
      name: ["Job", "name"],
      duration: ["Duration", "duration"],
      loss: ["Val. loss", "val_loss"],
      metric: [metric ? inWords(metric) : "Metric", best ?? "val_loss"],
      gap: ["Gap", "gap"],
      created: ["Submitted", NEWEST],
    };
    for (const [name, [text, first]] of Object.entries(heads)) this.heads[name].show({ text, first, sort });
    say(this.caption, `Jobs, sorted by ${sortWords(sort)}`);
    const labels = labelsOf(this.chosen);
    const { status, name, dataset } = this.chosen;
    entitle([status, name, dataset, labels].filter(Boolean).join(", "), "Jobs");
  }

  /** The metric on validation rows that most jobs of the page name first. */
  #commonest() {
    const names = (this.answer?.data ?? []).map((job) => headline(job).name);
    const often = (name) => names.filter((one) => one === name).length;
    const [name] = [...new Set(names)].sort((a, b) => often(b) - often(a));
    return name && name !== "loss" ? `val_${name}` : null;
  }

  #mark() {
    const best = (key) => bestOf(entriesOf(this.answer.data, key), parts(key)[1], this.metrics);
    this.view.best = { loss: best("val_loss"), metric: this.metric ? best(this.metric) : null };
    this.#tell();
  }

  #offer() {
    const shown = this.metric ?? this.#commonest() ?? "val_loss";
    const sorts = [
      ["", "newest first"],
      ["created_at", "oldest first"],
      ["name", "by name"],
      ["-duration", "longest first"],
      ["val_loss", "lowest validation loss"],
      ["gap", "smallest gap"],
      [this.metrics.bestFirst(shown), `best ${inWords(shown)}`],
    ];
    if (this.chosen.sort) sorts.push([this.chosen.sort, sortWords(this.chosen.sort)]);
    this.narrowing.offer(this.metrics.names(), [...new Map(sorts.reverse())].reverse());
  }

  /** Curves of what trains again and again, of what has ended once. */
  async #fetchCurves() {
    const { curves } = this.view;
    const wanted = (this.answer?.data ?? []).filter(({ id, progress }) => progress.epoch > (curves.get(id)?.last ?? 0));
    for (let at = 0; at < wanted.length; at += OVERLAID) {
      const ids = wanted.slice(at, at + OVERLAID).map(({ id }) => id);
      const asked = query({ jobs: ids.join(","), series: "train_loss,val_loss", max_points: 60 });
      const found = await get(`/v1/curves${asked}`, { signal: this.signal }).catch(withoutThem);
      for (const answer of found.curves) {
        const curve = Curve.of(answer);
        curves.set(answer.job_id, curve);
        this.rows.known.get(answer.job_id)?.draw(curve);
      }
    }
    const shown = new Set(this.answer?.data.map(({ id }) => id));
    for (const id of curves.keys()) if (!shown.has(id)) curves.delete(id);
    if (wanted.length) this.rows.show(this.answer.data);
  }

  // Choosing ----------------------------------------------------------------------------------------------

  /** In place, so that the keyboard stays where it is; the address follows. */
  #choose(values) {
    const chosen = { ...this.chosen, ...values };
    // Who looks at another metric of a list that is sorted by one wants it sorted by that.
    if ("metric" in values && parts(this.sort.replace(/^-/, "")) && chosen.metric)
      chosen.sort = this.metrics.bestFirst(chosen.metric);
    this.chosen = Object.fromEntries(Object.entries(chosen).filter(([, value]) => value));
    if (this.chosen.sort === NEWEST) delete this.chosen.sort;
    this.trail = [];
    this.narrowing.show(this.chosen);
    this.#offer();
    this.#tell();
    if (this.answer) this.#mark();
    this.#turn(null, `#/jobs${query(this.chosen)}`);
  }

  #foot() {
    const button = (label, act) => h("button", { type: "button", disabled: true, onclick: act }, label);
    this.newer = button("Previous", () => this.#turn(this.trail.pop()));
    this.older = button("Next", () => (this.trail.push(this.cursor), this.#turn(this.answer.next)));
    return h("div", { class: "foot" }, h("span", { class: "grow" }), this.newer, this.older);
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

function sortWords(sort) {
  const key = sort.replace(/^-/, "");
  const words = parts(key) ? inWords(key) : key.replaceAll("_", " ");
  return `${words}, ${sort.startsWith("-") ? "descending" : "ascending"}`;
}

/** A job of the page has been deleted meanwhile; the next look has a page without it. */
function withoutThem(error) {
  if (error instanceof Problem && error.status === 404) return { curves: [] };
  throw error;
}
