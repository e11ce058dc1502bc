// Choosing a dataset: one that is there, or a file.

import { Problem, get } from "./calls.js";
import { card, fill, h } from "./elements.js";
import { columnsTable, rowsTable } from "./dataset.js";
import { Upload } from "./upload.js";
import { count } from "./words.js";

const SHOWN = 200;

/** The card that picks a dataset and shows what is in it; `chosen(id or name)`. */
export class DatasetPicker {
  constructor({ signal, chosen }) {
    Object.assign(this, { signal, chosen });
    this.list = h("select", { id: "dataset", onchange: () => chosen(this.list.value || undefined) });
    this.look = h("div", { class: "column" });
    this.upload = new Upload({ signal, done: (dataset) => this.begin(dataset.id, true) });
    this.element = card(
      "Dataset",
      h(
        "div",
        { class: "fields" },
        h("div", { class: "field wide" }, h("label", { for: "dataset" }, "Uploaded or bundled"), this.list),
      ),
      this.upload.element,
      this.look,
    );
  }

  /** Offer what there is, with one of it chosen. */
  async begin(dataset, isNew = false) {
    const { data } = await get(`/v1/datasets?limit=${SHOWN}`, { signal: this.signal });
    const named = dataset && !data.some((one) => isCalled(one, dataset)) ? await this.#named(dataset) : [];
    this.offered = [...named, ...data];
    fill(this.list, h("option", { value: "" }, "Choose …"), this.offered.map(option));
    this.follow(dataset);
    if (isNew) this.chosen(this.list.value);
  }

  /** Show the dataset that the spec names, however it came to be named there. */
  follow(dataset) {
    const found = this.offered?.find((one) => isCalled(one, dataset));
    if (!this.offered || this.shown === found?.id) return;
    this.shown = found?.id;
    this.list.value = found ? valueOf(found) : "";
    if (!found) return void fill(this.look);
    this.#show(found.id).catch((error) => {
      if (!this.signal.aborted) fill(this.look, h("p", { class: "wrong" }, error.message));
    });
  }

  /** One that is not among the first few. */
  async #named(dataset) {
    try {
      return [await get(`/v1/datasets/${encodeURIComponent(dataset)}`, { signal: this.signal })];
    } catch (error) {
      if (error instanceof Problem) return [];
      throw error;
    }
  }

  async #show(id) {
    const [dataset, rows] = await Promise.all([
      get(`/v1/datasets/${id}`, { signal: this.signal }),
      get(`/v1/datasets/${id}/rows?limit=5`, { signal: this.signal }),
    ]);
    if (this.shown !== id) return; // Another one was chosen meanwhile.
    fill(
      this.look,
      h(
        "p",
        { class: "small muted" },
        `Predicts ${dataset.target}: ${dataset.task}, since ${dataset.task_reason}.`,
      ),
      rowsTable(rows, dataset),
      h(
        "details",
        {},
        h("summary", { class: "small" }, `All ${dataset.features} columns`),
        columnsTable(dataset),
      ),
    );
  }
}

const isCalled = ({ id, name, bundled }, dataset) => id === dataset || (bundled && name === dataset);
const valueOf = ({ id, name, bundled }) => (bundled ? name : id);
const option = (one) =>
  h(
    "option",
    { value: valueOf(one) },
    `${one.name} · ${count(one.rows)} rows, ${one.features} columns, ${one.task}`,
  );
