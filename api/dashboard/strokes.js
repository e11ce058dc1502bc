// How the lines of several jobs are told apart: by colour, and beyond eight by dashes too.

import { h } from "./elements.js";

const HUES = 8;
const DASHES = ["solid", "dashed", "dotted"];

/** The name of a colour in tokens.css. */
export const hue = (place) => `hue-${(place % HUES) + 1}`;

export const dash = (place) => DASHES[Math.floor(place / HUES) % DASHES.length];

/** A short piece of such a line. */
export const stroke = (place) => h("i", { class: dash(place), style: { "--hue": `var(--${hue(place)})` } });
