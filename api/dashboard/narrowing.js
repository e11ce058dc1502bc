// What a list of jobs is narrowed by: status, name, dataset, labels; and which metric it shows.

import { h, say } from "./elements.js";
import { LABEL, labelsOf, readLabels } from "./labeltext.js";
import { inWords } from "./metrics.js";

const TYPING_MILLISECONDS = 300;
const STATUSES = ["queued", "running", "paused", "succeeded", "failed", "cancelled"];

/** The bar of a list; `changed(values)` is told what was set, where `undefined` takes a value out. */
export class Narrowing {
  constructor(chosen, changed) {
    this.changed = changed;
    this.wrong = h("p", { class: "wrong", role: "alert" });
    const change = (name) => (event) => this.#set({ [name]: event.target.value.trim() || undefined });
    this.status = h(
      "select",
      { "aria-label": "Status", onchange: change("status") },
      h("option", { value: "" }, "any status"),
      STATUSES.map((one) => h("option", { value: one }, one)),
    );
    this.name = this.#field("name or credit*", "Name, or how it begins and *", change("name"));
    this.dataset = this.#field("dataset", "Dataset", change("dataset"));
    this.labels = this.#field("team=risk", "Labels: key=value, with commas between", (event) =>
      this.#label(event.target.value),
    );
    this.metric = h("select", { class: "metric", "aria-label": "Metric", onchange: change("metric") });
    this.sort = h("select", { class: "only-narrow", "aria-label": "Sort by", onchange: change("sort") });
    this.element = h(
      "div",
      { class: "filters", role: "search" },
      [this.status, this.name, this.dataset, this.labels, this.metric, this.sort],
    );
    this.show(chosen);
  }

  /** Put in what is chosen now, but for what somebody is typing. */
  show(chosen) {
    this.chosen = chosen;
    const put = (field, value) => document.activeElement !== field && (field.value = value ?? "");
    put(this.status, chosen.status);
    put(this.name, chosen.name);
    put(this.dataset, chosen.dataset);
    put(this.labels, labelsOf(chosen));
    this.metric.value = chosen.metric ?? "";
    this.sort.value = chosen.sort ?? "";
  }

  /** Offer what can be shown and sorted by, once it is known: lists of names, and pairs of a sort and a word. */
  offer(metrics, sorts) {
    const options = (split) =>
      metrics.map((name) => h("option", { value: `${split}_${name}` }, inWords(`${split}_${name}`)));
    this.metric.replaceChildren(
      h("option", { value: "" }, "their own metric"),
      h("optgroup", { label: "Validation" }, options("val")),
      h("optgroup", { label: "Training" }, options("train")),
      h("optgroup", { label: "Test: to report by, not to choose by" }, options("test")),
    );
    this.sort.replaceChildren(...sorts.map(([sort, words]) => h("option", { value: sort }, words)));
    this.show(this.chosen);
  }

  complain(text) {
    say(this.wrong, text);
  }

  #field(placeholder, label, act) {
    let typing = null;
    const soon = (event) => {
      clearTimeout(typing);
      typing = setTimeout(() => act(event), TYPING_MILLISECONDS);
    };
    return h("input", { type: "search", placeholder, title: label, "aria-label": label, oninput: soon });
  }

  #label(text) {
    try {
      const now = readLabels(text);
      const before = Object.keys(this.chosen).filter((name) => name.startsWith(LABEL));
      this.#set({ ...Object.fromEntries(before.map((name) => [name, undefined])), ...now });
    } catch (error) {
      this.complain(error.message);
    }
  }

  #set(values) {
    this.complain("");
    this.changed(values);
  }
}
