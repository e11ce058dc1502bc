// The regularization techniques of the catalog: each a switch with what it does and its usual range.

import { card, h, prose } from "./elements.js";
import { Form, at, put } from "./form.js";
import { title } from "./words.js";

const FIRST = {
  l1: { strength: 0.0001 },
  l2: { strength: 0.0001 },
  dropout: { hidden: 0.3 },
  batch_norm: true,
  early_stopping: true,
};

/**
 * The card of all techniques over a spec (`get`, `full` with its defaults, `set`). While the spec says nothing
 * of regularization, the API chooses a cocktail for the data; the first switch turned makes it the person's own.
 */
export function techniques(list, spec) {
  const parts = list.map((technique) => new Technique(technique, spec));
  const [auto, own] = [radio("auto", "What suits the data"), radio("own", "My own cocktail")];
  auto.input.addEventListener("change", () => spec.set(put(spec.get(), "/regularization", undefined)));
  own.input.addEventListener("change", () => spec.set(put(spec.get(), "/regularization", mine(spec))));
  const element = card(
    "Regularization",
    h(
      "div",
      { class: "choice", role: "radiogroup", "aria-label": "Which regularization" },
      auto.element,
      own.element,
    ),
    parts.map((part) => part.element),
  );
  const show = (state) => {
    const isOwn = state.spec.regularization !== undefined;
    [auto.input.checked, own.input.checked] = [!isOwn, isOwn];
    own.input.disabled = !isOwn && !state.full.regularization; // Until it is known what it would begin with.
    parts.forEach((part) => part.show(state));
  };
  return { element, show };
}

/** What the spec says of regularization, or what the data's default would be, written out. */
function mine(spec) {
  const chosen = spec.get().regularization ?? spec.full().regularization ?? {};
  return Object.fromEntries(Object.entries(chosen).filter(([, settings]) => settings));
}

function radio(value, label) {
  const input = h("input", { type: "radio", name: "regularization", value });
  return { input, element: h("label", {}, input, label) };
}

class Technique {
  constructor({ name, schema, summary, good_for, usual, source }, spec) {
    Object.assign(this, { name, pointer: `/regularization/${name}` });
    this.toggle = h("input", { type: "checkbox", id: `technique-${name}` });
    this.toggle.addEventListener("change", () => {
      const settings = this.toggle.checked ? (FIRST[name] ?? true) : undefined;
      spec.set(put(put(spec.get(), "/regularization", mine(spec)), this.pointer, settings));
    });
    // A change within makes the cocktail the person's own too, and a shorthand its full form.
    const changed = (pointer, value) => {
      const own = put(spec.get(), "/regularization", mine(spec));
      const settings = at(own, this.pointer);
      const whole =
        settings && typeof settings === "object" && !Array.isArray(settings)
          ? settings
          : (at(spec.full(), this.pointer) ?? {});
      spec.set(put(put(own, this.pointer, whole), pointer, value));
    };
    this.form = new Form({ schema, pointer: this.pointer, changed });
    this.body = h("div", { class: "column" }, this.form.element);
    this.element = h(
      "section",
      { class: "technique" },
      h(
        "header",
        {},
        this.toggle,
        h("label", { for: `technique-${name}` }, title(name)),
        h("span", { class: "small muted" }, good_for),
      ),
      h(
        "details",
        {},
        h("summary", { class: "small" }, "What it does, and the usual range"),
        h("p", {}, prose(summary)),
        h("p", {}, h("b", {}, "Usual: "), prose(usual)),
        h("p", { class: "muted" }, source),
      ),
      this.body,
    );
  }

  show(state) {
    const settings =
      state.spec.regularization === undefined ? at(state.full, this.pointer) : at(state.spec, this.pointer);
    const isOn = Boolean(settings) || settings === 0;
    this.toggle.checked = isOn;
    this.body.hidden = !isOn;
    this.form.show(state);
  }
}
