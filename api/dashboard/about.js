// What people say of a job or a dataset: its name, labels to find it by, notes. All of it can be changed here.

import { send } from "./calls.js";
import { announce, fill, h, say } from "./elements.js";

/**
 * `element`, and `show(thing)` whenever there is something new. `read(thing)` gives its `{ name, notes, metadata }`;
 * `saved(thing)` is told what the API answered. `label(key, value)` is an address of what else has the label.
 */
export class About {
  #made = 0; // Rows of the form, for their names.

  constructor({ path, signal, read, saved, label }) {
    Object.assign(this, { path, signal, read, saved, label });
    this.element = h("div", { class: "about" });
  }

  show(thing) {
    this.now = this.read(thing);
    const said = JSON.stringify(this.now);
    if (this.form || said === this.said) return;
    this.said = said;
    this.#lay();
  }

  #lay() {
    const { metadata, notes } = this.now;
    const edit = h("button", { type: "button", class: "quiet small", onclick: () => this.#edit() }, "Edit");
    edit.setAttribute("aria-label", "Edit name, labels and notes");
    const labels = Object.entries(metadata ?? {}).map(([key, value]) => {
      const text = `${key}=${value}`;
      const href = this.label?.(key, value);
      return h("li", { dir: "auto" }, href ? h("a", { class: "plain", href }, text) : text);
    });
    fill(
      this.element,
      notes ? h("p", { class: "notes", dir: "auto" }, notes) : null,
      h(
        "div",
        { class: "bar" },
        labels.length
          ? h("ul", { class: "labels", "aria-label": "Labels" }, labels)
          : !notes && h("span", { class: "small muted" }, "No labels and no notes."),
        edit,
      ),
    );
    return edit;
  }

  // Editing -----------------------------------------------------------------------------------------------

  #edit() {
    const { name, notes, metadata } = (this.before = this.now);
    const field = (label, input) => h("div", { class: "field wide" }, h("label", { for: input.id }, label), input);
    this.name = h("input", { type: "text", id: "about-name", value: name ?? "", autocomplete: "off" });
    this.notes = h("textarea", { id: "about-notes", rows: 4, value: notes ?? "" });
    this.rows = h("div", { class: "column labels-form" });
    Object.entries(metadata ?? {}).forEach(([key, value]) => this.#row(key, value));
    this.wrong = h("p", { class: "wrong", role: "alert" });
    this.save = h("button", { type: "submit", class: "primary" }, "Save");
    const add = () => this.#row("", "").focus();
    const leave = () => this.#close();
    this.form = h(
      "form",
      { class: "column", "aria-label": "Name, labels and notes", onsubmit: (event) => this.#submit(event) },
      field("Name", this.name),
      h(
        "fieldset",
        {},
        h("legend", {}, "Labels"),
        this.rows,
        h("button", { type: "button", class: "small", onclick: add }, "Add a label"),
      ),
      field("Notes", this.notes),
      this.wrong,
      h("div", { class: "bar" }, this.save, h("button", { type: "button", onclick: leave }, "Leave it")),
    );
    this.form.addEventListener("keydown", ({ key }) => key === "Escape" && leave());
    fill(this.element, this.form);
    this.name.focus();
  }

  /** A label's two fields; the first of them. */
  #row(key, value) {
    const number = (this.#made += 1);
    const input = (what, text) =>
      h("input", { type: "text", value: text, "aria-label": `${what} of label ${number}`, class: what.toLowerCase() });
    const [first, second] = [input("Key", key), input("Value", value === null ? "null" : String(value))];
    const remove = () => (row.remove(), this.name.focus());
    const less = h("button", { type: "button", class: "small quiet", onclick: remove }, "Remove");
    less.setAttribute("aria-label", `Remove label ${key || number}`);
    const row = h("div", { class: "bar row" }, first, h("span", { "aria-hidden": "true" }, "="), second, less);
    this.rows.append(row);
    return first;
  }

  async #submit(event) {
    event.preventDefault();
    say(this.wrong, "");
    const labels = this.#labels();
    if (typeof labels === "string") return say(this.wrong, labels);
    const patch = difference(this.before, { name: this.name.value.trim(), notes: this.notes.value, labels });
    if (!Object.keys(patch).length) return this.#close();
    this.save.disabled = true;
    try {
      const thing = await send("PATCH", this.path, patch);
      if (this.signal.aborted) return;
      this.now = this.read(thing);
      this.#close();
      announce("Saved.");
      this.saved(thing);
    } catch (error) {
      this.save.disabled = false;
      say(this.wrong, [error.message, ...(error.errors ?? []).slice(1, 4).map(({ detail }) => detail)].join(" "));
    }
  }

  /** What stands in the rows, or in words what is wrong with it. */
  #labels() {
    const pairs = [...this.rows.children].map((row) =>
      ["key", "value"].map((name) => row.querySelector(`.${name}`).value.trim()),
    );
    const filled = pairs.filter(([key, value]) => key || value);
    if (filled.some(([key]) => !key)) return "A label has a key before its value.";
    const twice = filled.find(([key], place) => filled.findIndex(([one]) => one === key) < place);
    return twice ? `${twice[0]} is there twice.` : Object.fromEntries(filled);
  }

  #close() {
    this.form = null;
    this.said = JSON.stringify(this.now);
    this.#lay().focus();
  }
}

/** A merge patch (RFC 7396) from what was there to what stands in the form; what was left as it was is not in it. */
function difference(before, { name, notes, labels }) {
  const patch = {};
  if (name !== (before.name ?? "")) patch.name = name || null;
  if (notes !== (before.notes ?? "")) patch.notes = notes || null;
  const metadata = {};
  const known = before.metadata ?? {};
  for (const key of Object.keys(known)) if (!(key in labels)) metadata[key] = null;
  for (const [key, text] of Object.entries(labels)) {
    if (!(key in known)) metadata[key] = text;
    else if (text !== String(known[key])) metadata[key] = likeBefore(known[key], text);
  }
  if (Object.keys(metadata).length) patch.metadata = metadata;
  return patch;
}

/** A number stays a number and a truth a truth, where what was written is one. */
function likeBefore(value, text) {
  if (typeof value === "number" && text !== "" && Number.isFinite(Number(text))) return Number(text);
  if (typeof value === "boolean" && ["true", "false"].includes(text)) return text === "true";
  return text;
}
