// What the weights say: how sparse each layer is, and which columns the network listens to.

import { get } from "./calls.js";
import { card, h, scroller } from "./elements.js";
import { figures, meter, table } from "./table.js";
import { number, percent } from "./words.js";

const FEW = 15;

/** The card of a job that has weights; a `Problem` of 404 where it has none. */
export async function weights(job, signal) {
  const { layers, inputs, linear } = await get(`/v1/jobs/${job.id}/weights`, { signal });
  return card("Weights", layersTable(layers), listened(inputs), linear ? coefficients(linear) : null);
}

function layersTable(layers) {
  const bar = { text: "Sparsity as a bar", unseen: true, wide: true };
  const heads = ["Layer", "Shape", ...figures("Sparsity"), bar, ...figures("L2 norm", "Largest")];
  const row = ({ name, shape, sparsity, l2_norm, max_abs }) => {
    const told = [
      shape.join(" × "),
      percent(sparsity, 1),
      meter(sparsity),
      number(l2_norm, 3),
      number(max_abs, 3),
    ];
    return [name, ...told];
  };
  const caption = "Each layer's weights; sparsity is the share that is exactly zero";
  return scroller("Layers", table(caption, heads, layers.map(row)));
}

/** Columns by the norm of the weights that leave them, the largest first; at first the largest few. */
function listened(inputs) {
  const ranked = [...inputs].sort((a, b) => (b.norm ?? 0) - (a.norm ?? 0));
  const most = ranked[0]?.norm || 1;
  const row = ({ column, norm, kept }) => [
    column,
    meter((norm ?? 0) / most),
    kept ? number(norm, 3) : "dropped",
  ];
  const shown = (some) =>
    table("Input columns by norm", ["", { text: "", wide: true }, ...figures("")], some.map(row));
  const place = h("div", {}, shown(ranked.slice(0, FEW)));
  const showAll = () => (place.replaceChildren(shown(ranked)), all.remove());
  const all = h(
    "button",
    { type: "button", class: "small", onclick: showAll },
    `All ${inputs.length} columns`,
  );
  return [
    h("h3", {}, "Columns by the norm of their weights"),
    h("p", { class: "small muted" }, told(inputs)),
    place,
    inputs.length > FEW && h("div", {}, all),
  ];
}

function told(inputs) {
  const dropped = inputs.filter(({ kept }) => !kept).length;
  return dropped
    ? `${dropped} of ${inputs.length} columns are dropped: every weight that leaves them is exactly zero.`
    : `All ${inputs.length} columns are listened to.`;
}

/** Made when somebody opens it: there may be thousands. */
function coefficients({ outputs, intercept, coefficients: found }) {
  const make = () => {
    const rows = [["intercept", intercept], ...Object.entries(found)];
    const cells = rows.map(([name, values]) => [name, ...values.map((value) => number(value))]);
    return scroller("Coefficients", table("Coefficients", ["Input", ...figures(...outputs)], cells));
  };
  const place = h("details", {}, h("summary", {}, "Coefficients"));
  place.addEventListener("toggle", () => place.append(make()), { once: true });
  return place;
}
