// A form made from a JSON Schema: a field for each property, with its meaning, its range and its default.
//
// The form edits one object, the spec, and holds only what somebody set: what a field leaves empty follows the
// data, and its placeholder says what that comes to. Pointers (RFC 6901) name the fields, as in the API's errors.

import { fill, h, prose, say } from "./elements.js";
import { plain, title } from "./words.js";

/** What a pointer leads to in a document; undefined where that is nothing. */
export function at(document, pointer) {
  return steps(pointer).reduce((part, step) => part?.[step], document);
}

/**
 * The same document with something else at the pointer; undefined takes it out, and what is then empty. Only an
 * empty `regularization` stays: it says that there is none.
 */
export function put(document, pointer, value) {
  const [first, ...rest] = steps(pointer);
  const part = document?.[first];
  const inner = rest.length ? put(part ?? {}, `/${rest.map(escape).join("/")}`, value) : value;
  const copy = Array.isArray(document) ? [...document] : { ...document };
  const isEmptied = rest.length > 0 && value === undefined && !pointer.startsWith("/regularization");
  if (inner === undefined || (isEmptied && !Object.keys(inner).length)) delete copy[first];
  else copy[first] = inner;
  return copy;
}

const steps = (pointer) =>
  pointer
    .split("/")
    .slice(1)
    .map((step) => step.replaceAll("~1", "/").replaceAll("~0", "~"));
const escape = (step) => String(step).replaceAll("~", "~0").replaceAll("/", "~1");

/** RFC 7396: the document as a merge patch wants it. */
export function merged(document, patch) {
  if (patch === null || typeof patch !== "object" || Array.isArray(patch)) return patch;
  const result = document && typeof document === "object" && !Array.isArray(document) ? { ...document } : {};
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete result[name];
    else result[name] = merged(result[name], value);
  }
  return result;
}

let fields = 0;

/**
 * Fields for an object's properties. `changed(pointer, value)` is told what somebody set (undefined: nothing);
 * `show({ spec, full, problems })` puts values, placeholders and complaints in.
 */
export class Form {
  constructor({ schema, pointer, changed, only = null }) {
    Object.assign(this, { schema, pointer, changed });
    const names = only ?? Object.keys(schema.properties);
    this.fields = names.map((name) => this.#field(name, resolved(schema.properties[name], schema)));
    this.element = h(
      "div",
      { class: "fields" },
      this.fields.map(({ element }) => element),
    );
  }

  show(state) {
    this.fields.forEach((field) => field.show(state));
  }

  #field(name, schema) {
    const pointer = `${this.pointer}/${escape(name)}`;
    const id = `field-${(fields += 1)}`;
    const input = control(schema, (value) => this.changed(pointer, value), this.schema);
    const [hint, wrong] = [
      h("span", { class: "hint", id: `${id}-hint` }, prose(hinted(schema))),
      h("span", { class: "wrong", id: `${id}-wrong` }), // Read out with its field; the page says it once.
    ];
    input.labelled(id, `${id}-hint ${id}-wrong`);
    const label = input.isGroup
      ? h("span", { class: "label", id }, title(name))
      : h("label", { for: id }, title(name));
    const element = h(
      "div",
      { class: input.isWide ? "field wide" : "field" },
      label,
      input.element,
      hint,
      wrong,
    );
    const show = ({ spec, full, problems }) => {
      input.show(at(spec, pointer), at(full, pointer));
      const said = problems.filter((one) => one.pointer === pointer || one.pointer.startsWith(`${pointer}/`));
      say(wrong, said.map(({ detail }) => detail).join(" "));
      input.mark(said.length > 0);
    };
    return { element, show };
  }
}

/** A schema with its reference followed, and of several shapes the one that a form can offer best. */
function resolved(schema, whole) {
  if (schema.$ref) return { ...at(whole, schema.$ref.slice(1)), ...schema };
  const shapes = (schema.anyOf ?? [])
    .filter(({ type }) => type !== "null")
    .map((shape) => resolved(shape, whole));
  const best = shapes.find(({ type }) => type === "array") ?? shapes[0];
  return best ? { ...best, ...schema, anyOf: undefined, lenient: shapes.length > 1 } : schema;
}

/** The meaning, and the range where there is one: `from 0, below 1`. */
function hinted(schema) {
  const { items = {} } = schema;
  const range = [
    bound("from", schema.minimum ?? items.minimum),
    bound("above", schema.exclusiveMinimum ?? items.exclusiveMinimum),
    bound("to", schema.maximum ?? items.maximum),
    bound("below", schema.exclusiveMaximum ?? items.exclusiveMaximum),
  ]
    .filter(Boolean)
    .join(", ");
  return [schema.description, range && `(${range})`].filter(Boolean).join(" ");
}

const HUGE = 1e6; // A bound that only keeps machines alive says nothing to people.
const bound = (word, value) => (value === undefined || Math.abs(value) >= HUGE ? null : `${word} ${value}`);

/** The control for a schema: `{ element, show(value, default), mark(isWrong), labelled(id, hint) }`. */
function control(schema, changed, whole) {
  if (schema.enum) return select(schema.enum, changed);
  if (schema.type === "boolean") return select([true, false], changed);
  if (schema.type === "array" && resolved(schema.items, whole).type === "object")
    return groups(resolved(schema.items, whole), changed, whole);
  if (schema.type === "array") return text(listed(schema), changed);
  if (schema.type === "object") return text(PAIRS, changed);
  return text(schema.type === "string" ? WORDS : NUMBER, changed, schema);
}

// How values are written into one line, and read from it: what cannot be read goes to the API as it is,
// which says what is wrong with it better than a form could.

const NUMBER = {
  read: (line) => (Number.isNaN(Number(line)) ? line : Number(line)),
  write: (value) => (typeof value === "object" ? JSON.stringify(value) : String(value)),
  mode: "decimal",
};
const WORDS = { read: (line) => line, write: String };
const PAIRS = {
  read: (line) =>
    Object.fromEntries(
      line
        .split(",")
        .map((pair) => pair.split(":").map((part) => part.trim()))
        .map(([name, value]) => [name, NUMBER.read(value ?? "")]),
    ),
  write: (value) =>
    Object.entries(value)
      .map(([name, one]) => `${name}: ${one}`)
      .join(", "),
  placeholder: "column: 5, other: 2",
};

function listed(schema) {
  const one = schema.items.type === "string" ? WORDS : NUMBER;
  return {
    // A single number stands for all layers where the schema takes one.
    read: (line) => {
      if (line === "[]") return [];
      const parts = line
        .split(",")
        .map((part) => part.trim())
        .filter(Boolean)
        .map(one.read);
      return schema.lenient && parts.length === 1 ? parts[0] : parts;
    },
    write: (value) => (Array.isArray(value) ? (value.length ? value.join(", ") : "[]") : String(value)),
    placeholder: "",
  };
}

function text({ read, write, mode, placeholder = "" }, changed) {
  const input = h("input", { type: "text", inputmode: mode, autocomplete: "off", spellcheck: "false" });
  input.addEventListener("input", () =>
    changed(input.value.trim() === "" ? undefined : read(input.value.trim())),
  );
  return {
    element: input,
    show(value, otherwise) {
      const isEmpty = (one) =>
        one === undefined ||
        one === null ||
        (typeof one === "object" && !Array.isArray(one) && !Object.keys(one).length);
      if (document.activeElement !== input) input.value = isEmpty(value) ? "" : write(value);
      input.placeholder = isEmpty(otherwise) ? placeholder : write(otherwise);
    },
    ...marking(input),
  };
}

function select(choices, changed) {
  const words = (choice) => (choice === true ? "yes" : choice === false ? "no" : plain(String(choice)));
  const first = h("option", { value: "" });
  const input = h(
    "select",
    {},
    first,
    choices.map((choice) => h("option", { value: String(choice) }, words(choice))),
  );
  input.addEventListener("change", () => changed(choices.find((choice) => String(choice) === input.value)));
  return {
    element: input,
    show(value, otherwise) {
      say(first, otherwise === undefined || otherwise === null ? "default" : `default: ${words(otherwise)}`);
      input.value = value === undefined || value === null ? "" : String(value);
    },
    ...marking(input),
  };
}

/** A list of objects, each a small form. */
function groups(schema, changed, whole) {
  const place = h("div", { class: "column" });
  let shown = [];
  let length = -1;
  let forms = [];
  const tell = (list) => changed(list.length ? list : undefined);
  const one = (place_) => {
    const form = new Form({
      schema: { ...schema, $defs: whole.$defs },
      pointer: "",
      changed: (pointer, value) =>
        tell(shown.map((value_, at_) => (at_ === place_ ? put(value_ ?? {}, pointer, value) : value_))),
    });
    const less = h(
      "button",
      { type: "button", class: "small", onclick: () => tell(shown.filter((_, at_) => at_ !== place_)) },
      "Remove",
    );
    return { form, element: h("div", { class: "group column" }, form.element, h("div", {}, less)) };
  };
  const more = h(
    "button",
    { type: "button", class: "small", onclick: () => tell([...shown, {}]) },
    "Add another",
  );
  return {
    element: h("div", { class: "column", role: "group" }, place, h("div", {}, more)),
    isWide: true,
    isGroup: true,
    show(value, otherwise) {
      shown = Array.isArray(value) ? value : Array.isArray(otherwise) ? otherwise : [];
      if (shown.length !== length) {
        length = shown.length;
        forms = shown.map((_, index) => one(index));
        fill(
          place,
          forms.map(({ element }) => element),
        );
      }
      forms.forEach(({ form }, index) =>
        form.show({
          spec: Array.isArray(value) ? shown[index] : undefined,
          full: Array.isArray(otherwise) ? otherwise[index] : undefined,
          problems: [],
        }),
      );
    },
    mark: () => {},
    labelled(id) {
      this.element.setAttribute("aria-labelledby", id);
    },
  };
}

function marking(input) {
  return {
    mark: (isWrong) => input.setAttribute("aria-invalid", String(isWrong)),
    labelled(id, hint) {
      input.id = id;
      input.setAttribute("aria-describedby", hint);
    },
  };
}
