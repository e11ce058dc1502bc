// Heads of columns that a list is sorted by: pressed once the best or the first comes first, pressed again the last.

import { h, say } from "./elements.js";

/** The other direction of a sort. */
const opposite = (sort) => (sort.startsWith("-") ? sort.slice(1) : `-${sort}`);

const keyOf = (sort) => sort.replace(/^-/, "");

/**
 * `{ element, show({ text, first, sort }) }`: a head that says `text` and sorts by `first`, the way in which it does
 * so when it is pressed for the first time; `sort` is how the list is sorted now. `sorted(sort)` is told what was
 * chosen.
 */
export function sortHead({ right, className, sorted }) {
  let [first, sort] = ["", ""];
  const isHere = () => keyOf(first) === keyOf(sort);
  const [word, arrow] = [h("span"), h("span", { class: "arrow", "aria-hidden": "true" })];
  const press = () => sorted(isHere() ? opposite(sort) : first);
  const button = h("button", { type: "button", class: "sort", onclick: press }, word, arrow);
  const element = h("th", { scope: "col", class: [className, right && "right"].filter(Boolean).join(" ") }, button);
  const show = (now) => {
    [first, sort] = [now.first, now.sort];
    say(word, now.text);
    const isDown = isHere() && sort.startsWith("-");
    say(arrow, isHere() ? (isDown ? "▼" : "▲") : "");
    if (isHere()) element.setAttribute("aria-sort", isDown ? "descending" : "ascending");
    else element.removeAttribute("aria-sort");
  };
  return { element, show };
}
