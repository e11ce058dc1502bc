// Elements made from data. What people typed goes in as text and never as markup: this is the only place
// of the dashboard that makes elements, and it knows no way to parse any.

import { sentence, short } from "./words.js";

const SVG = "http://www.w3.org/2000/svg";

/** An HTML element: `h("a", { href, class: "quiet", onclick }, "text", otherElement, null)`. */
export function h(tag, attributes = {}, ...children) {
  return finished(document.createElement(tag), attributes, children);
}

/** An SVG element. */
export function s(tag, attributes = {}, ...children) {
  return finished(document.createElementNS(SVG, tag), attributes, children);
}

function finished(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) set(element, name, value);
  element.append(
    ...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false),
  );
  return element;
}

function set(element, name, value) {
  if (value === null || value === undefined || value === false) return;
  if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
  else if (name === "value") element.value = value;
  else if (name === "style")
    Object.entries(value).forEach(([key, one]) => element.style.setProperty(key, one));
  else element.setAttribute(name, value === true ? "" : value);
}

/** Put other children into an element. */
export function fill(element, ...children) {
  element.replaceChildren(
    ...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false),
  );
  return element;
}

/** Change a text only where it differs, so that a selection in it survives. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * Keep an element for each of some things, in their order, while the things change: those that stay are
 * updated in place, so that focus and selection survive. `make(thing)` gives `{ element, update(thing) }`.
 */
export class Kept {
  constructor(parent, key, make) {
    Object.assign(this, { parent, key, make, known: new Map() });
  }

  show(things) {
    const now = new Map();
    for (const thing of things) {
      const key = this.key(thing);
      const one = this.known.get(key) ?? this.make(thing);
      one.update?.(thing);
      now.set(key, one);
    }
    for (const [key, one] of this.known) if (!now.has(key)) one.element.remove();
    let place = this.parent.firstElementChild;
    for (const one of now.values()) {
      if (one.element === place) place = place.nextElementSibling;
      else this.parent.insertBefore(one.element, place);
    }
    this.known = now;
  }
}

/** The catalog's prose, which marks code by backticks. */
export function prose(text) {
  return text.split("`").map((part, at) => (at % 2 ? h("code", {}, part) : part));
}

/** A card with a heading. */
export function card(title, ...children) {
  return h("section", { class: "card" }, title && h("h2", {}, title), ...children);
}

/** What may be wider than the page: it scrolls by itself, by keyboard too. */
export function scroller(label, ...children) {
  return h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": label }, ...children);
}

/**
 * Ask before something that cannot be undone; true where the person is sure. Whoever goes elsewhere meanwhile
 * (`signal`) is not.
 */
export function sure({ title, text, label, danger, signal }) {
  const yes = h("button", { class: danger ? "primary bad" : "primary", value: "yes" }, label);
  const dialog = h(
    "dialog",
    { class: "card", "aria-labelledby": "sure" },
    h("h2", { id: "sure" }, title),
    h("p", {}, text),
    h("form", { method: "dialog", class: "bar" }, yes, h("button", { value: "no" }, "Leave it")),
  );
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    const leave = () => dialog.close("no");
    signal.addEventListener("abort", leave, { once: true });
    dialog.addEventListener("close", () => {
      signal.removeEventListener("abort", leave);
      dialog.remove();
      resolve(dialog.returnValue === "yes" && !signal.aborted);
    });
  });
}

/** What the browser calls the page: on its tab, in its history, in a screen reader's first words. */
export function entitle(...words) {
  document.title = [...words.filter(Boolean).map((word) => short(word, 60)), "Ridgeline"].join(" · ");
}

/** What the API says should be known, in a list; null where there is nothing. */
export function noticeList(texts, label = "Notices") {
  if (!texts?.length) return null;
  const items = texts.map((text) => h("li", {}, sentence(text)));
  return h("ul", { class: "warnings", role: "status", "aria-label": label }, items);
}

/** Tell a screen reader something that is only to be seen otherwise. */
export function announce(text) {
  say(document.getElementById("said"), text);
}

/** Hand a file to the person. */
export function save(blob, name) {
  const link = h("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
