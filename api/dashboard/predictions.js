// The trained network at work, and to take away.

import { call, get } from "./calls.js";
import { card, fill, h, save, say, scroller } from "./elements.js";
import { figures, table } from "./table.js";
import { number, short } from "./words.js";

const SAMPLE = 3;
const MOST_CLASSES = 12;
const FEW = 5;

/** The card of a job that has weights; a `Problem` of 404 where it has none. */
export async function predictions(job, signal) {
  await get(`/v1/jobs/${job.id}/weights`, { signal });
  const { columns, data } = await get(`/v1/datasets/${job.dataset.id}/rows?limit=${SAMPLE}`, { signal });
  const { target } = await get(`/v1/datasets/${job.dataset.id}`, { signal });
  const wanted = columns.filter((column) => column !== target && column !== job.spec.split.column);
  const text = [wanted, ...data.map((row) => wanted.map((column) => row[column]))].map(written).join("\n");
  const input = h("textarea", {
    class: "mono",
    rows: SAMPLE + 2,
    spellcheck: "false",
    id: "rows",
    value: text,
    wrap: "off",
  });
  const [answer, wrong] = [scroller("Predictions"), h("p", { class: "wrong", role: "alert" })];
  const ask = async () => {
    say(wrong, "");
    try {
      const found = await predicted(job, input.value, signal);
      fill(answer, remarks(found.notices), answers(found.predictions));
    } catch (error) {
      fill(answer);
      say(wrong, [error.message, ...(error.errors ?? []).slice(1, 4).map(({ detail }) => detail)].join(" "));
    }
  };
  return card(
    null,
    h("div", { class: "bar" }, h("h2", { class: "grow" }, "Use it"), downloads(job, wrong)),
    h(
      "label",
      { for: "rows", class: "small muted" },
      "Rows as CSV, in the data's own columns and units. These are the dataset's first.",
    ),
    input,
    h(
      "div",
      { class: "bar" },
      h("button", { type: "button", class: "primary", onclick: ask }, "Predict"),
      wrong,
    ),
    answer,
  );
}

async function predicted(job, text, signal) {
  const answer = await call(`/v1/jobs/${job.id}/predict`, {
    method: "POST",
    body: text,
    headers: { "Content-Type": "text/csv" },
    signal,
  });
  return answer.json();
}

/** What to know about the predictions: levels that training did not know. */
function remarks(notices) {
  if (notices.length === 0) return null;
  const items = notices.map(({ pointer, detail }) => h("li", {}, h("code", {}, pointer), ` ${detail}`));
  return h("ul", { class: "warnings", "aria-label": "Notices" }, items);
}

/** A row each; of many classes the likeliest few. */
function answers(found) {
  const classes = Object.keys(found[0]?.probabilities ?? {});
  const isWide = classes.length > MOST_CLASSES;
  const shown = isWide ? ["Likeliest"] : figures(...classes);
  const heads = classes.length ? ["Row", "Label", ...shown] : ["Row", ...figures("Value")];
  const told = (probabilities) =>
    isWide ? [likeliest(probabilities)] : classes.map((name) => number(probabilities[name], 3));
  const cells = ({ label, value, probabilities }) =>
    classes.length ? [label, ...told(probabilities)] : [number(value)];
  return table(
    "Predictions",
    heads,
    found.map((one, place) => [String(place + 1), ...cells(one)]),
  );
}

function likeliest(probabilities) {
  const ranked = Object.entries(probabilities)
    .sort(([, a], [, b]) => b - a)
    .slice(0, FEW);
  return ranked.map(([name, share]) => `${short(name, 30)} ${number(share, 3)}`).join(" · ");
}

function downloads(job, wrong) {
  const files = [
    ["ONNX", "model?format=onnx", "onnx"],
    ["safetensors", "model?format=safetensors", "safetensors"],
    ["Model card", "card?format=md", "md"],
  ];
  const download = async (path, ending) => {
    try {
      save(await (await call(`/v1/jobs/${job.id}/${path}`, { seconds: null })).blob(), `${job.id}.${ending}`);
    } catch (error) {
      say(wrong, error.message);
    }
  };
  return files.map(([label, path, ending]) =>
    h("button", { type: "button", class: "small", onclick: () => download(path, ending) }, label),
  );
}

/** A line of CSV (RFC 4180). */
function written(cells) {
  return cells
    .map((cell) => {
      const text = cell === null ? "" : String(cell);
      return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
    })
    .join(",");
}
