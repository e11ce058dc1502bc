// A new job: a dataset, a form that says what each technique does, the spec as JSON beside it.

import { Away, Problem, catalog, freshKey, get, line, pause, query, send } from "./calls.js";
import { DatasetPicker } from "./picker.js";
import { announce, card, entitle, fill, h, say } from "./elements.js";
import { Form, at, merged, put } from "./form.js";
import { techniques } from "./techniques.js";
import { bytes, count } from "./words.js";

const SETTLE_SECONDS = 0.25; // After the last key, before the API is asked.

export async function open(main, { values, signal }) {
  const known = await catalog();
  const spec = await begun(values, signal);
  const page = new NewJob(main, known, values.get("from"), signal);
  await page.begin(spec);
}

/** What to begin with: nothing, an earlier job's spec, or that with a suggestion merged in. */
async function begun(values, signal) {
  const named = values.get("dataset") ? { dataset: values.get("dataset") } : {};
  const from = values.get("from");
  if (!from) return named;
  const { spec, dataset } = await get(`/v1/jobs/${from}`, { signal });
  return merged({ ...bare(spec), dataset: dataset.id }, JSON.parse(values.get("patch") ?? "{}"));
}

/**
 * A full spec without what says nothing: nulls and empty objects. An empty `regularization` says something: that
 * there is none.
 */
function bare(spec) {
  const said = Object.entries(spec).map(([name, value]) => [name, isObject(value) ? bare(value) : value]);
  const isEmpty = (value) => value === null || (isObject(value) && !Object.keys(value).length);
  return Object.fromEntries(said.filter(([name, value]) => name === "regularization" || !isEmpty(value)));
}

const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);

class NewJob {
  constructor(main, catalog, from, signal) {
    Object.assign(this, {
      catalog,
      from,
      signal,
      spec: {},
      full: {},
      problems: [],
      asked: 0,
      key: freshKey(),
    });
    const changed = (pointer, value) => this.#set(put(this.spec, pointer, value));
    this.picker = new DatasetPicker({
      signal,
      chosen: (dataset) => this.#set(put(this.spec, "/dataset", dataset)),
    });
    this.techniques = techniques(catalog.techniques, {
      get: () => this.spec,
      full: () => this.full,
      set: (spec) => this.#set(spec),
    });
    const section = (name, extra = {}) =>
      new Form({ schema: catalog[name].schema, pointer: `/${name}`, changed, ...extra });
    this.forms = {
      Network: section("network"),
      Training: section("training"),
      Optimizer: new Form({
        schema: at(catalog.spec, "/$defs/OptimizerSpec"),
        pointer: "/optimizer",
        changed,
      }),
      Split: section("split"),
      Preprocessing: section("preprocessing"),
      Job: new Form({ schema: catalog.spec, pointer: "", changed, only: ["name", "metrics", "priority"] }),
    };
    fill(
      main,
      h("div", { class: "head" }, h("h1", {}, "New job")),
      h("div", { class: "making" }, this.#main(), this.#side()),
    );
  }

  begin(spec) {
    this.#set(spec);
    return this.picker.begin(spec.dataset);
  }

  #main() {
    const rest = ["Network", "Training"].map((name) => card(name, this.forms[name].element));
    const folded = ["Optimizer", "Split", "Preprocessing", "Job"].map((name) =>
      h(
        "details",
        { class: "card" },
        h("summary", {}, h("h2", { style: { display: "inline" } }, name)),
        this.forms[name].element,
      ),
    );
    return h("div", { class: "main" }, this.picker.element, this.techniques.element, rest, folded);
  }

  #side() {
    this.text = h("textarea", {
      class: "mono spec",
      spellcheck: "false",
      id: "spec",
      oninput: () => this.#typed(),
    });
    [this.wrong, this.warned] = [
      h("div", { class: "wrong", role: "alert" }),
      h("ul", { class: "warnings", hidden: true, "aria-label": "Warnings" }),
    ];
    this.cost = h("p", { class: "small muted" });
    this.submit = h(
      "button",
      { type: "button", class: "primary", disabled: true, onclick: () => this.#submit() },
      "Submit",
    );
    return h(
      "aside",
      { class: "side", "aria-label": "The spec" },
      card(
        null,
        h(
          "div",
          { class: "bar" },
          h("h2", { class: "grow" }, h("label", { for: "spec" }, "Spec")),
          this.submit,
        ),
        this.text,
        this.cost,
        this.warned,
        this.wrong,
        h("p", { class: "small muted" }, "Only what you set is in it; what you leave out follows the data."),
      ),
    );
  }

  // Changing ----------------------------------------------------------------------------------------------

  #set(spec) {
    this.spec = spec;
    this.key = freshKey(); // Another spec is another job; the same one submitted twice is one.
    if (document.activeElement !== this.text) this.text.value = JSON.stringify(spec, null, 2);
    this.picker.follow(spec.dataset);
    this.#show();
    this.#validate();
  }

  #typed() {
    try {
      const spec = JSON.parse(this.text.value);
      if (typeof spec !== "object" || spec === null || Array.isArray(spec))
        throw new Error("a spec is an object: { … }");
      this.#set(spec);
    } catch (error) {
      this.submit.disabled = true;
      this.asked += 1;
      fill(this.wrong, `This is not JSON yet: ${error.message}`);
    }
  }

  async #validate() {
    const asked = (this.asked += 1);
    this.submit.disabled = true;
    await pause(SETTLE_SECONDS, this.signal);
    if (asked !== this.asked || this.signal.aborted) return;
    if (!this.spec.dataset) return this.#complain([], "Choose a dataset first.");
    try {
      const answer = await send("POST", "/v1/jobs/validate", this.spec);
      if (asked === this.asked) this.#accept(answer);
    } catch (error) {
      if (asked !== this.asked || this.signal.aborted) return;
      this.#complain(error.errors ?? [], error.message);
      if (error instanceof Away)
        line.addEventListener("here", () => this.#validate(), { once: true, signal: this.signal });
    }
  }

  #accept({ spec, warnings, cost, dataset }) {
    entitle(spec.name, `New job on ${dataset.name}`);
    Object.assign(this, { full: spec, problems: [] });
    this.submit.disabled = false;
    fill(this.wrong);
    this.warned.hidden = warnings.length === 0;
    fill(
      this.warned,
      warnings.map(({ pointer, detail }) => h("li", {}, h("code", {}, pointer), ` ${detail}`)),
    );
    say(
      this.cost,
      [
        `${count(cost.parameters)} parameters`,
        `${count(cost.features)} inputs`,
        `at most ${count(cost.steps)} steps`,
        bytes(cost.memory_bytes),
      ].join(" · "),
    );
    this.#show();
  }

  #complain(errors, message) {
    this.problems = errors;
    say(this.cost, "");
    this.warned.hidden = true;
    fill(
      this.wrong,
      errors.length
        ? h(
            "ul",
            {},
            errors.map((one) => this.#complaint(one)),
          )
        : message,
    );
    this.#show();
  }

  #complaint({ pointer, detail, suggestion }) {
    const given = at(this.spec, pointer);
    const canMend = (suggestion ?? null) !== null && given !== undefined;
    // Of a field that there is not, the suggestion is the name that was meant, not a value.
    const isName = detail.startsWith("there is no field");
    const renamed = () =>
      put(put(this.spec, pointer, undefined), pointer.replace(/[^/]*$/, suggestion), given);
    const write = () => this.#set(isName ? renamed() : put(this.spec, pointer, readable(suggestion)));
    return h(
      "li",
      {},
      h("code", {}, pointer),
      ` ${detail} `,
      canMend ? h("button", { type: "button", class: "small", onclick: write }, `Use ${suggestion}`) : null,
    );
  }

  #show() {
    const state = { spec: this.spec, full: this.full, problems: this.problems };
    [this.techniques, ...Object.values(this.forms)].forEach((part) => part.show(state));
  }

  async #submit() {
    this.submit.disabled = true;
    try {
      const job = await send("POST", "/v1/jobs", this.spec, { "Idempotency-Key": this.key });
      if (this.signal.aborted) return;
      announce("Submitted.");
      location.hash = `#/jobs/${job.id}${query({ after: this.from })}`;
    } catch (error) {
      this.submit.disabled = false;
      this.#complain(error instanceof Problem ? error.errors : [], error.message);
    }
  }
}

function readable(suggestion) {
  try {
    return JSON.parse(suggestion);
  } catch {
    return suggestion;
  }
}
