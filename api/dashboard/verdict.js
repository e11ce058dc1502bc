// Does it overfit, why, and what to try next: the API's diagnosis in words, its suggestions as buttons.

import { get } from "./calls.js";
import { card, h } from "./elements.js";
import { figures, table } from "./table.js";
import { number, plain, title } from "./words.js";

const KINDS = { good_fit: "good", overfitting: "bad", diverged: "bad", too_short: "", still_improving: "" };

/**
 * Put the card of a job with epochs where it belongs, if there is something new to say; a `Problem` of 404 where
 * there are none. What somebody has opened in it stays open, and nothing is taken from under somebody's keys.
 */
export async function judge(place, job, signal) {
  const found = await get(`/v1/jobs/${job.id}/diagnosis`, { signal });
  const said = JSON.stringify(found);
  if (place.dataset.said === said || place.contains(document.activeElement)) return;
  const isOpen = place.querySelector("details")?.open;
  place.dataset.said = said;
  place.replaceChildren(cardOf(job, found));
  place.querySelector("details").open = Boolean(isOpen);
}

function cardOf(job, { verdict, summary, suggestions, evidence: measured }) {
  const kind = KINDS[verdict] ?? "warn";
  const section = card(
    null,
    h("h2", {}, "Diagnosis", h("span", { class: "pill", "data-kind": kind }, plain(verdict))),
    h("p", {}, summary),
    suggestions.length > 0 &&
      h(
        "ul",
        { class: "suggestions", "aria-label": "What to try next" },
        suggestions.map((one) => suggestion(job, one)),
      ),
    h("details", {}, h("summary", {}, "What this is read from"), evidence(measured)),
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
