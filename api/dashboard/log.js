// What happened to a job, in order.

import { get } from "./calls.js";
import { h } from "./elements.js";
import { plain } from "./words.js";

const MOST = 200;

/** A list that grows: entries fetched at first, events as they come. */
export class Log {
  #known = new Set();

  constructor(path, signal) {
    Object.assign(this, {
      path,
      signal,
      element: h("ol", { class: "log", tabindex: 0, "aria-label": "Log" }),
    });
  }

  async fetch() {
    const { data } = await get(`${this.path}/events?limit=${MOST}`, { signal: this.signal }).catch(() => ({
      data: [],
    }));
    for (const { number, event, at, data: told } of data)
      this.add({ number, kind: event, data: { ...told, at } });
  }

  add({ number, kind, data }) {
    if (this.#known.has(number) || kind === "end") return; // The status before it has said the same.
    this.#known.add(number);
    const time = new Date(data.at).toLocaleTimeString();
    this.element.append(
      h(
        "li",
        {},
        h("time", { datetime: data.at }, time),
        h("span", {}, h("b", {}, plain(kind)), ` ${told(data)}`),
      ),
    );
  }
}

function told({ at, status, stop_reason, detail, stop_detail, ...others }) {
  const rest = Object.entries(others).map(
    ([name, value]) => `${plain(name)} ${typeof value === "object" ? JSON.stringify(value) : value}`,
  );
  return [status && plain(status), stop_reason && plain(stop_reason), detail ?? stop_detail, ...rest]
    .filter(Boolean)
    .join(" · ");
}
