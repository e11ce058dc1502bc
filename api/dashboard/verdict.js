// Does it overfit, why, and what to try next: the API's diagnosis in words, its suggestions as buttons.

import { get } from "./calls.js";
import { card, h } from "./elements.js";
import { figures, table } from "./table.js";
import { number, plain, title } from "./words.js";

const KINDS = { good_fit: "good", overfitting: "bad", diverged: "bad", too_short: "", still_improving: "" };

/** The card of a job with epochs; a `Problem` of 404 where there are none. */
export async function verdict(job, signal) {
  const found = await get(`/v1/jobs/${job.id}/diagnosis`, { signal });
  const kind = KINDS[found.verdict] ?? "warn";
  const section = card(
    null,
    h("h2", {}, "Diagnosis", h("span", { class: "pill", "data-kind": kind }, plain(found.verdict))),
    h("p", {}, found.summary),
    found.suggestions.length
      ? h(
          "ul",
          { class: "suggestions", "aria-label": "What to try next" },
          found.suggestions.map((one) => suggestion(job, one)),
        )
      : null,
    h("details", {}, h("summary", {}, "What this is read from"), evidence(found.evidence)),
  );
  section.classList.add("verdict");
  section.dataset.kind = kind;
  return section;
}

function suggestion(job, { technique, detail, patch }) {
  const href = `#/new?from=${job.id}&patch=${encodeURIComponent(JSON.stringify(patch))}`;
  return h(
    "li",
    {},
    h("b", {}, title(technique)),
    h("p", { class: "small grow" }, detail),
    h("a", { class: "button small", href }, "Try this"),
  );
}

function evidence(list) {
  const rows = list.map(({ name, value, detail }) => [plain(name), number(value), detail]);
  return table("Evidence", ["Measured", ...figures("Value"), "In words"], rows);
}
