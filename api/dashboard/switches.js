// What any chart can be asked for: a logarithmic axis, and curves smoothed as TensorBoard smooths them.

import { h } from "./elements.js";

/** Two labelled inputs; `log(isOn)` and `smooth(weight)` are told what was chosen. */
export function switches({ log, smooth }) {
  const axis = h("input", { type: "checkbox", onchange: () => log(axis.checked) });
  const weight = h("input", {
    type: "range",
    min: 0,
    max: 0.98,
    step: 0.02,
    value: 0,
    oninput: () => smooth(Number(weight.value)),
  });
  return [h("label", {}, axis, "Log axis"), h("label", {}, "Smoothing", weight)];
}
