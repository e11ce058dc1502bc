// A file to drop or to choose, and what is to be predicted from it.

import { call } from "./calls.js";
import { announce, fill, h, noticeList, say } from "./elements.js";
import { readHeader } from "./header.js";
import { bytes, count, short } from "./words.js";

const LONGEST = 80; // Letters of a name in the list; the whole of it is sent.

/**
 * `element`, and `done(dataset)` once a file has been uploaded. Where the server has something to say of it, that
 * stays here with a way on, and `done` is not called before somebody has taken it.
 */
export class Upload {
  constructor({ signal, done }) {
    Object.assign(this, { signal, done });
    this.file = h("input", {
      type: "file",
      id: "file",
      accept: ".csv,.tsv,.txt,.gz,.parquet,.npz",
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
    this.wrong = h("p", { class: "wrong", role: "alert" });
    this.remarks = h("div", { class: "place" });
    this.send = h("button", { type: "button", class: "primary", onclick: () => this.#upload() }, "Upload");
    this.chosen = h("b", { dir: "auto" });
    this.size = h("span", { class: "small muted" });
    this.place = h("span", { class: "target" });
    this.more = h(
      "div",
      { class: "column", hidden: true },
      h("div", { class: "bar" }, this.chosen, this.size),
      h("div", { class: "bar" }, h("label", { for: "target" }, "Target"), this.place, this.send),
    );
    this.element = h("div", { class: "column" }, this.drop, this.more, this.remarks, this.wrong);
    this.#ask(null);
  }

  async #take(file) {
    this.taken = file;
    this.more.hidden = !file;
    say(this.wrong, "");
    fill(this.remarks);
    this.#ask(null);
    if (!file) return;
    say(this.chosen, file.name);
    say(this.size, bytes(file.size));
    const { names, remarks } = await readHeader(file).catch(() => ({ names: null, remarks: [] }));
    if (this.taken !== file) return; // Another one was chosen meanwhile.
    const named = names?.filter(Boolean) ?? [];
    this.#ask(named.length ? named : null);
    if (named.length) say(this.size, `${bytes(file.size)} · ${count(names.length)} columns`);
    fill(this.remarks, noticeList(remarks, "About the file"));
  }

  /** A list of columns to choose the target from; a field to write it into where they are not known. */
  #ask(names) {
    if (!names) {
      this.target = h("input", { type: "text", id: "target", placeholder: "the last column", autocomplete: "off" });
      return void fill(this.place, this.target);
    }
    const distinct = [...new Set(names)];
    const words = (name) => short(name, LONGEST);
    this.target = h(
      "select",
      { id: "target" },
      h("option", { value: "" }, `the last column: ${words(names.at(-1))}`),
      distinct.map((name) => h("option", { value: name }, words(name))),
    );
    fill(this.place, this.target);
  }

  async #upload() {
    const form = new FormData();
    form.append("file", this.taken);
    if (this.target.value.trim()) form.append("target", this.target.value.trim());
    this.send.disabled = true;
    say(this.wrong, "");
    try {
      const options = { method: "POST", body: form, signal: this.signal, seconds: null };
      const dataset = await (await call("/v1/datasets", options)).json();
      announce(`${dataset.name} is uploaded.`);
      this.file.value = ""; // The same file may be chosen again.
      this.#take(null);
      if (!dataset.notices?.length) return await this.done(dataset);
      this.#tell(dataset);
    } catch (error) {
      if (!this.signal.aborted) say(this.wrong, error.message);
    } finally {
      this.send.disabled = false;
    }
  }

  #tell(dataset) {
    const go = () => this.done(dataset);
    const on = h("button", { type: "button", class: "small", onclick: go }, `On to ${short(dataset.name, 40)}`);
    fill(this.remarks, noticeList(dataset.notices), h("div", {}, on));
    on.focus();
  }
}
