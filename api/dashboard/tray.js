// The bar that is always in sight while jobs are ticked: compare them, cancel them, delete them.

import { get, send } from "./calls.js";
import { announce, fill, h, say, sure } from "./elements.js";
import { forEach } from "./several.js";
import { FINAL } from "./standing.js";
import { ticked } from "./ticked.js";
import { called, count, short } from "./words.js";

export const OVERLAID = 20; // As many jobs as one comparison holds.
const NAMED = 5; // Of those of which something is told, the rest by their number.

const ACTS = {
  cancel: {
    label: "Cancel",
    doing: "Cancelling",
    over: "Cancelled",
    fits: ({ status }) => !FINAL.includes(status),
    call: ({ id }) => send("POST", `/v1/jobs/${id}/cancel`),
    text: "They end and cannot succeed any more. Their best weights so far are kept.",
    others: (many) =>
      many === 1
        ? "1 other has ended already, and stays as it is."
        : `${count(many)} others have ended already, and stay as they are.`,
    none: "All of them have ended already: there is nothing to cancel.",
  },
  delete: {
    label: "Delete",
    doing: "Deleting",
    over: "Deleted",
    fits: ({ status }) => FINAL.includes(status),
    call: ({ id }) => send("DELETE", `/v1/jobs/${id}`),
    text: "They are gone for good, with their curves, logs and weights.",
    others: (many) =>
      many === 1
        ? "1 other has not ended, and stays: only what has ended can be deleted. Cancel it first."
        : `${count(many)} others have not ended, and stay: only what has ended can be deleted. Cancel those first.`,
    none: "None of them has ended, and only what has ended can be deleted. Cancel them first.",
  },
};

/** Keep the bar in its place for as long as the page is open. */
export class Tray {
  #acting = null;

  constructor(place) {
    this.place = place;
    this.told = h("b", { class: "figure grow" });
    this.compare = h("a", { class: "button primary" });
    this.buttons = Object.values(ACTS).map((act) => this.#button(act));
    this.clear = h("button", { type: "button", class: "quiet", onclick: () => this.#clear() }, "Clear");
    this.stop = h("button", { type: "button", hidden: true, onclick: () => this.#acting?.abort() }, "Stop");
    this.outcome = h("div", { class: "outcome", role: "status", hidden: true });
    fill(
      place,
      this.outcome,
      h("div", { class: "bar" }, this.told, this.compare, this.buttons, this.stop, this.clear),
    );
    ticked.addEventListener("change", () => this.#show());
    this.#show();
  }

  /** Nothing is ticked any more, and what was begun is broken off: somebody else may sit here. */
  forget() {
    this.#acting?.abort();
    this.#dismiss();
    ticked.clear();
  }

  #button(act) {
    const press = () => this.#do(act).catch((error) => this.#report([error.message]));
    return h("button", { type: "button", class: act === ACTS.delete ? "danger" : null, onclick: press });
  }

  #show() {
    const { jobs } = ticked;
    this.place.hidden = !jobs.length && this.outcome.hidden;
    document.body.classList.toggle("with-tray", !this.place.hidden);
    for (const part of [this.compare, this.clear, ...this.buttons])
      part.hidden = Boolean(this.#acting) || (!jobs.length && part !== this.clear);
    this.stop.hidden = !this.#acting;
    if (this.#acting) return;
    say(this.clear, jobs.length ? "Clear" : "Close");
    say(this.told, jobs.length ? `${count(jobs.length)} ticked` : "");
    say(this.compare, jobs.length > OVERLAID ? `Compare the first ${OVERLAID}` : `Compare ${jobs.length}`);
    Object.values(ACTS).forEach(({ label, fits }, at) => {
      const many = jobs.filter(fits).length;
      say(this.buttons[at], many ? `${label} ${count(many)}` : label);
    });
    this.compare.href = `#/compare?jobs=${jobs.map(({ id }) => id).join(",")}`;
  }

  #clear() {
    this.#dismiss();
    ticked.clear();
    this.#show();
    document.getElementById("main").focus({ preventScroll: true });
  }

  // Cancelling and deleting ---------------------------------------------------------------------------------

  async #do(act) {
    this.#dismiss();
    const leaving = new AbortController();
    window.addEventListener("hashchange", () => leaving.abort(), { once: true, signal: leaving.signal });
    await refresh();
    const fitting = ticked.jobs.filter(act.fits);
    const others = ticked.jobs.length - fitting.length;
    if (!fitting.length) return this.#report([act.none]);
    const title = `${act.label} ${some(fitting)}?`;
    const text = [act.text, others > 0 && act.others(others)].filter(Boolean).join(" ");
    const asked = { title, text, label: act.label, danger: true };
    if (await sure({ ...asked, signal: leaving.signal })) await this.#carryOut(act, fitting);
  }

  async #carryOut(act, jobs) {
    this.#acting = new AbortController();
    this.#show();
    const tell = ({ done, of, waits }) => {
      const pausing = waits ? `; the server asks to wait, going on in ${Math.ceil(waits)} s` : "";
      say(this.told, `${act.doing} ${count(done)} of ${count(of)}${pausing}`);
    };
    try {
      const outcome = await forEach(jobs, act.call, { signal: this.#acting.signal, tell });
      const isGone = act === ACTS.delete ? [...outcome.done, ...outcome.gone] : outcome.gone;
      ticked.setAll(isGone, false);
      this.#acting = null;
      await refresh();
      this.#report(sentences(act, outcome));
    } finally {
      this.#acting = null;
      this.#show();
    }
  }

  #report(lines) {
    fill(
      this.outcome,
      lines.map((line) => h("p", {}, line)),
    );
    this.outcome.hidden = false;
    announce(lines.join(" "));
    this.#show();
  }

  #dismiss() {
    fill(this.outcome);
    this.outcome.hidden = true;
  }
}

/** The ticked jobs as they are now: those that had not ended when they were last seen are asked for. */
async function refresh() {
  const unsure = ticked.jobs.filter(({ status }) => !FINAL.includes(status));
  const fresh = [];
  const ask = async ({ id }) => fresh.push(await get(`/v1/jobs/${id}`));
  const { gone } = await forEach(unsure, ask, { signal: new AbortController().signal, tell: () => {} });
  ticked.setAll(gone, false);
  ticked.note(fresh);
}

const quoted = (job) => `“${short(called(job), 60)}”`;
const some = (jobs) => (jobs.length === 1 ? quoted(jobs[0]) : `${count(jobs.length)} jobs`);

/** What became of them: how many it worked for, and whom it did not, with the reason. */
function sentences({ over, doing }, { done, gone, refused, left }) {
  const lines = [`${over} ${some(done)}.`];
  if (gone.length) lines.push(`${some(gone)} had been deleted already.`);
  if (left.length) lines.push(`${doing} was stopped: ${count(left.length)} were left as they are.`);
  const reasons = Map.groupBy(refused, ({ why }) => why.replaceAll(/job_\w+/g, "it"));
  for (const [why, those] of reasons) {
    const names = those.slice(0, NAMED).map(({ job }) => quoted(job));
    const more = those.length > NAMED ? ` and ${count(those.length - NAMED)} more` : "";
    lines.push(`Not ${over.toLowerCase()}: ${names.join(", ")}${more}. ${why}`);
  }
  return done.length || lines.length === 1 ? lines : lines.slice(1);
}
