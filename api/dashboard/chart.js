// A chart of lines over epochs, drawn by BokehJS on one canvas. What is drawn is data; how, is decided here.
//
// The ranges are set by us, and each kind of mark has one source, so that a live chart of twenty lines costs a
// few milliseconds.

import { SIDE, bokeh, color, discard, figureOf } from "./bokeh.js";
import { h, say } from "./elements.js";

/**
 * `draw({ lines, bands, marks, points, log })`, as often as there is something new:
 *   lines:  [{ x, y, color, width, alpha, dash }]   nulls in y are gaps
 *   bands:  [{ x, low, high, color }]               the gap, or a spread
 *   marks:  [{ x, label }]                          upright lines
 *   points: [{ x, y, color }]
 * `pointed(epoch)` is told where somebody points, null when nowhere.
 */
export class Chart {
  #figure = null;
  #making = null;
  #sources = null;
  #log = false;
  #zoomed = null;
  #content = null;
  #turn = 0; // Rises when what was drawn is let go, so that what is being made for it is not kept.

  constructor({ label, height = 320, pointed = () => {} }) {
    this.height = height;
    this.pointed = pointed;
    this.whole = h(
      "button",
      { type: "button", class: "quiet small whole", hidden: true, onclick: () => this.#zoom(null) },
      "Show all epochs",
    );
    this.canvas = h("div", { class: "canvas", style: { height: `${height}px` } });
    this.element = h("div", { class: "chart", role: "img", "aria-label": label }, this.canvas);
    this.box = h("div", { class: "plot" }, this.element, this.whole);
  }

  describe(text) {
    this.element.setAttribute("aria-label", text);
  }

  async draw(content) {
    this.#content = content;
    if (this.#figure && this.#log !== Boolean(content.log)) this.forget();
    try {
      this.#making ??= this.#make();
      await this.#making;
    } catch {
      this.#making = null; // The next drawing tries again.
      return void this.canvas.replaceChildren(h("p", { class: "muted" }, "The chart could not be loaded."));
    }
    if (this.#figure && this.#content === content) this.#show();
  }

  /** Let go of it; the next drawing begins anew, in the colours of then. */
  forget() {
    this.#turn += 1;
    if (this.view) discard(this.view);
    this.view = this.#figure = this.#making = this.#sources = null;
    this.canvas.replaceChildren();
  }

  /** The upright line under the pointer or the slider. */
  point(epoch) {
    if (!this.#figure) return;
    this.cross.location = epoch ?? 0;
    this.cross.visible = epoch !== null;
  }

  async #make() {
    const turn = this.#turn;
    const Bokeh = await bokeh();
    if (turn !== this.#turn) return;
    this.#log = Boolean(this.#content.log);
    const figure = figureOf(Bokeh, { height: this.height, isLog: this.#log });
    figure.x_range.change.connect(() => this.#ranged());
    const source = (...names) =>
      new Bokeh.ColumnDataSource({ data: Object.fromEntries(names.map((name) => [name, []])) });
    this.#sources = {
      bands: source("xs", "ys", "color"),
      lines: source("xs", "ys", "color", "width", "alpha", "dash"),
      marks: source("x", "low", "high"),
      words: source("x", "y", "text", "align", "aside"),
      points: source("x", "y", "color"),
    };
    this.#glyphs(figure, Bokeh);
    this.canvas.replaceChildren();
    const view = await Bokeh.Plotting.show(figure, this.canvas);
    if (turn !== this.#turn) return discard(view);
    [this.#figure, this.view] = [figure, view];
  }

  #glyphs(figure, Bokeh) {
    const field = (name) => ({ field: name });
    const { bands, lines, marks, words, points } = this.#sources;
    const muted = color("muted");
    figure.patches(field("xs"), field("ys"), {
      source: bands,
      fill_color: field("color"),
      fill_alpha: 0.14,
      line_alpha: 0,
    });
    figure.segment(field("x"), field("low"), field("x"), field("high"), {
      source: marks,
      line_color: muted,
      line_dash: "dashed",
      line_width: 1.2,
    });
    figure.multi_line(field("xs"), field("ys"), {
      source: lines,
      line_color: field("color"),
      line_width: field("width"),
      line_alpha: field("alpha"),
      line_dash: field("dash"),
      line_join: "round",
    });
    figure.scatter(field("x"), field("y"), {
      source: points,
      size: 9,
      fill_color: field("color"),
      line_color: color("paper"),
      line_width: 1.5,
    });
    figure.text(field("x"), field("y"), field("text"), {
      source: words,
      text_color: muted,
      text_font: getComputedStyle(document.body).fontFamily,
      text_font_size: "12px",
      text_baseline: "top",
      text_align: field("align"),
      x_offset: field("aside"),
      y_offset: 2,
    });
    this.cross = new Bokeh.Span({
      dimension: "height",
      location: 0,
      visible: false,
      line_color: muted,
      line_alpha: 0.6,
    });
    figure.add_layout(this.cross);
    figure.on_event("mousemove", ({ x }) => this.pointed(x));
    figure.on_event("mouseleave", () => this.pointed(null));
  }

  #show() {
    const { lines, bands = [] } = this.#content;
    const lone = lines
      .filter(({ x }) => x.length === 1)
      .map((line) => ({ x: line.x[0], y: line.y[0], color: line.color }));
    const points = [...(this.#content.points ?? []), ...lone.filter(({ y }) => Number.isFinite(y))];
    const all = (name, otherwise) => lines.map((one) => one[name] ?? otherwise);
    const usable = (value) =>
      value === null || value === undefined || (this.#log && value <= 0) ? NaN : value;
    this.#sources.lines.data = {
      xs: all("x"),
      ys: lines.map(({ y }) => y.map(usable)),
      color: all("color"),
      width: all("width", 2),
      alpha: all("alpha", 1),
      dash: all("dash", "solid"),
    };
    const outlines = bands.map(outline);
    this.#sources.bands.data = {
      xs: outlines.map(({ x }) => x),
      ys: outlines.map(({ y }) => y.map(usable)),
      color: bands.map((band) => band.color),
    };
    this.#sources.points.data = {
      x: points.map(({ x }) => x),
      y: points.map(({ y }) => y),
      color: points.map((one) => one.color),
    };
    this.#fit();
  }

  /** Set the ranges: all of it, or the epochs that somebody chose, and as high as what is seen of it. */
  #fit() {
    const { lines, marks = [] } = this.#content;
    const [from, to] = this.#zoomed ?? span(lines.map(({ x }) => [x[0], x.at(-1)]).flat());
    const edges = (this.#content.bands ?? []).flatMap(({ x, low, high }) => [
      { x, y: low },
      { x, y: high },
    ]);
    const [low, high] = this.#heights([...lines, ...edges], from, to);
    this.#moving(() => Object.assign(this.#figure.x_range, { start: from, end: to }));
    Object.assign(this.#figure.y_range, { start: low, end: high });
    const seen = marks.filter(({ x }) => x >= from && x <= to);
    this.#sources.marks.data = {
      x: seen.map(({ x }) => x),
      low: seen.map(() => low),
      high: seen.map(() => high),
    };
    const words = apart(seen, from, to, this.canvas.clientWidth - SIDE.left - SIDE.right);
    this.#sources.words.data = {
      x: words.map(({ x }) => x),
      y: words.map(() => high),
      text: words.map(({ label }) => label),
      align: words.map(({ isLate }) => (isLate ? "right" : "left")),
      aside: words.map(({ isLate }) => (isLate ? -6 : 6)),
    };
  }

  #heights(lines, from, to) {
    let [low, high] = [Infinity, -Infinity];
    for (const { x, y } of lines) {
      for (let i = 0; i < x.length; i++) {
        const value = y[i];
        if (x[i] < from || x[i] > to || value === null || value === undefined || (this.#log && value <= 0))
          continue;
        if (value < low) low = value;
        if (value > high) high = value;
      }
    }
    if (low > high) return this.#log ? [0.1, 1] : [0, 1];
    // Above, there is room for the words on the marks.
    if (this.#log) return [low / (high / low || 1) ** 0.05 / 1.02, high * (high / low || 1) ** 0.12 * 1.02];
    const room = (high - low || Math.abs(high) || 1) * 0.05;
    return [low - room, high + 2.4 * room];
  }

  #quiet = false;

  #moving(act) {
    this.#quiet = true;
    act();
    this.#quiet = false;
  }

  #ranged() {
    if (this.#quiet) return;
    clearTimeout(this.settling); // Start and end change one after the other.
    this.settling = setTimeout(() => this.#zoom([this.#figure.x_range.start, this.#figure.x_range.end]), 0);
  }

  #zoom(range) {
    this.#zoomed = range;
    this.whole.hidden = range === null;
    this.#fit();
  }
}

/** Along the lower edge and back along the upper one, without what is missing on either. */
function outline({ x, low, high }) {
  const places = x
    .map((_, place) => place)
    .filter((place) => (low[place] ?? null) !== null && (high[place] ?? null) !== null);
  const back = places.toReversed();
  return {
    x: [...places, ...back].map((place) => x[place]),
    y: [...places.map((place) => low[place]), ...back.map((place) => high[place])],
  };
}

const LETTER = 6.6; // Pixels, of the words on marks.

/** The marks whose words do not run over an earlier one's; those far to the right have them on their left. */
function apart(marks, first, last, room) {
  const taken = [];
  return marks
    .map((mark) => {
      const [place, width] = [((mark.x - first) / (last - first)) * room, mark.label.length * LETTER + 12];
      const isLate = place > width && place > 0.55 * room;
      return { ...mark, isLate, from: isLate ? place - width : place, to: isLate ? place : place + width };
    })
    .filter(({ from, to }) => {
      const isFree = taken.every((other) => to < other.from || from > other.to);
      if (isFree) taken.push({ from, to });
      return isFree;
    });
}

function span(ends) {
  const known = ends.filter((end) => end !== undefined);
  const [low, high] = known.length ? [Math.min(...known), Math.max(...known)] : [0, 1];
  return low === high ? [low - 0.5, high + 0.5] : [low, high];
}

/** A row of names with their colours, and a place for what is read at one epoch. */
export function legend(entries) {
  const reading = h("span", { class: "reading" });
  const names = entries.map(({ name, color: hue, kind = "line" }) =>
    h("span", { class: "entry" }, h("i", { class: kind, style: { "--hue": hue } }), name),
  );
  return { element: h("div", { class: "legend" }, names, reading), read: (text) => say(reading, text) };
}
