// What the weights say: how sparse each layer is, and which columns the network listens to.

import { get } from "./calls.js";
import { card, fill, h, scroller } from "./elements.js";
import { number, percent } from "./words.js";

const FEW = 15;

export async function weights(job, signal) {
  const { layers, inputs, linear } = await get(`/v1/jobs/${job.id}/weights`, { signal });
  return card("Weights", layersTable(layers), listened(inputs), linear ? coefficients(linear) : null);
}

const meter = (share) => h("span", { class: "meter", role: "presentation", style: { "--share": share } });

function layersTable(layers) {
  const heads = ["Layer", "Shape", "Sparsity", "", "L2 norm", "Largest"];
  return scroller("Layers", h("table", { class: "small" },
    h("caption", { class: "unseen" }, "Each layer's weights; sparsity is the share that is exactly zero"),
    h("thead", {}, h("tr", {}, heads.map((head, at) => h("th", { scope: "col", class: at > 3 || at === 2 ? "right" : null }, head || h("span", { class: "unseen" }, "Sparsity as a bar"))))),
    h("tbody", {}, layers.map((layer) => h("tr", {},
      h("th", { scope: "row" }, layer.name), h("td", { class: "figure nowrap" }, layer.shape.join(" × ")),
      h("td", { class: "right figure" }, percent(layer.sparsity, 1)), h("td", { class: "bar-cell" }, meter(layer.sparsity)),
      h("td", { class: "right figure" }, number(layer.l2_norm, 3)), h("td", { class: "right figure" }, number(layer.max_abs, 3)))))));
}

/** Columns by the norm of the weights that leave them, the largest first; at first the largest few. */
function listened(inputs) {
  const ranked = [...inputs].sort((a, b) => (b.norm ?? 0) - (a.norm ?? 0));
  const most = ranked[0]?.norm || 1;
  const dropped = inputs.filter(({ kept }) => !kept).length;
  const body = h("tbody");
  const row = ({ column, norm, kept }) => h("tr", {},
    h("th", { scope: "row", dir: "auto", class: "column", title: column }, column),
    h("td", { class: "bar-cell wide" }, meter((norm ?? 0) / most)),
    h("td", { class: "right figure" }, kept ? number(norm, 3) : h("span", { class: "muted" }, "dropped")));
  const show = (rows) => fill(body, rows.map(row));
  show(ranked.slice(0, FEW));
  const all = h("button", { type: "button", class: "small", onclick: () => (show(ranked), all.remove()) }, `All ${inputs.length} columns`);
  const told = dropped ? `${dropped} of ${inputs.length} columns are dropped: every weight that leaves them is exactly zero.` : `All ${inputs.length} columns are listened to.`;
  return [h("h3", {}, "Columns by the norm of their weights"), h("p", { class: "small muted" }, told),
    h("table", { class: "small" }, h("caption", { class: "unseen" }, "Input columns by norm"), body), inputs.length > FEW ? h("div", {}, all) : null];
}

function coefficients({ outputs, intercept, coefficients: found }) {
  const names = Object.keys(found);
  return h("details", {}, h("summary", {}, "Coefficients"), scroller("Coefficients", h("table", { class: "small" },
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Input"), outputs.map((output) => h("th", { scope: "col", class: "right" }, output)))),
    h("tbody", {}, [["intercept", intercept], ...names.map((name) => [name, found[name]])].map(([name, values]) =>
      h("tr", {}, h("th", { scope: "row" }, name), values.map((value) => h("td", { class: "right figure" }, number(value)))))))));
}
