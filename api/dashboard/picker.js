// Choosing a dataset: one that is there, or a file.

import { Problem, call, get } from "./calls.js";
import { announce, card, fill, h, say } from "./elements.js";
import { columnsTable, rowsTable } from "./dataset.js";
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

/** A file to drop or to choose, and what is to be predicted from it. */
export class Upload {
  constructor({ signal, done }) {
    Object.assign(this, { signal, done });
    this.file = h("input", {
      type: "file",
      id: "file",
      accept: ".csv,.gz,.parquet,.npz",
      class: "unseen",
      onchange: () => this.#take(this.file.files[0]),
    });
    this.drop = h(
      "div",
      { class: "drop" },
      h("label", { for: "file", class: "button" }, "Choose a file"),
      this.file,
      " or drop one here: CSV, CSV.gz, Parquet, NPZ",
    );
    const over = (isOver) => (event) => (event.preventDefault(), this.drop.classList.toggle("over", isOver));
    for (const [name, isOver] of [
      ["dragover", true],
      ["dragleave", false],
      ["drop", false],
    ])
      this.drop.addEventListener(name, over(isOver));
    this.drop.addEventListener("drop", (event) => this.#take(event.dataTransfer.files[0]));
    this.target = h("input", { type: "text", id: "target", placeholder: "the last column" });
    this.wrong = h("p", { class: "wrong", role: "alert" });
    this.send = h("button", { type: "button", class: "primary", onclick: () => this.#upload() }, "Upload");
    this.more = h(
      "div",
      { class: "bar", hidden: true },
      (this.chosen = h("b")),
      h("label", { for: "target" }, "Target"),
      h("span", {}, this.target),
      this.send,
    );
    this.element = h("div", { class: "column" }, this.drop, this.more, this.wrong);
  }

  #take(file) {
    this.taken = file;
    this.more.hidden = !file;
    say(this.wrong, "");
    if (file) say(this.chosen, file.name);
  }

  async #upload() {
    const form = new FormData();
    form.append("file", this.taken);
    if (this.target.value.trim()) form.append("target", this.target.value.trim());
    this.send.disabled = true;
    try {
      const dataset = await (
        await call("/v1/datasets", { method: "POST", body: form, signal: this.signal, seconds: null })
      ).json();
      announce(`${dataset.name} is uploaded.`);
      this.#take(null);
      await this.done(dataset);
    } catch (error) {
      say(this.wrong, error.message);
    } finally {
      this.send.disabled = false;
    }
  }
}
