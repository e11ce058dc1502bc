// BokehJS (BSD, from the Python package `bokeh`), fetched when the first chart is wanted, and the plain figure
// that every chart begins with.

import { Away } from "./calls.js";
import { h } from "./elements.js";

const SCRIPTS = ["bokeh.min.js", "bokeh-api.min.js"];
let library = null;

/** BokehJS, loaded once; where that failed, the next chart tries again. */
export function bokeh() {
  library ??= Promise.all(SCRIPTS.map(loaded)).catch((error) => {
    library = null;
    throw error;
  });
  return library.then(() => window.Bokeh);
}

/** Fetched beside the others and run after them, in order. */
function loaded(name) {
  return new Promise((resolve, reject) => {
    const failed = () => reject(new Away(`${name} did not load`));
    const script = h("script", { src: `/dashboard/${name}`, onload: resolve, onerror: failed });
    script.async = false;
    document.head.append(script);
  });
}

/** Let go of what was drawn: Bokeh keeps every document until it is told to forget it. */
export function discard(view) {
  const { document: drawn, id } = view.model;
  view.remove();
  drawn?.clear();
  const place = window.Bokeh.documents.indexOf(drawn);
  if (place >= 0) window.Bokeh.documents.splice(place, 1);
  delete window.Bokeh.index[id];
}

/** A colour of tokens.css as it is now, light or dark, in the form that a canvas takes. */
export function color(name) {
  const probe = h("span", { style: { color: `var(--${name})` } });
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

/** Pixels beside the frame, for the numbers on the axis. */
export const SIDE = { left: 62, right: 16 };

/** An empty figure in the page's colours: faint lines across, no box, no toolbar. */
export function figureOf(Bokeh, { height, isLog }) {
  const isFine = window.matchMedia("(pointer: fine)").matches; // A finger that drags wants to scroll the page.
  const figure = Bokeh.Plotting.figure({
    height,
    sizing_mode: "stretch_width",
    tools: isFine ? "xbox_zoom" : "",
    toolbar_location: null,
    x_range: [0, 1],
    y_range: isLog ? [0.1, 1] : [0, 1],
    y_axis_type: isLog ? "log" : "linear",
    background_fill_alpha: 0,
    border_fill_alpha: 0,
    outline_line_alpha: 0,
    min_border_left: SIDE.left,
    min_border_right: SIDE.right,
    min_border_top: 8,
    min_border_bottom: 26,
  });
  const axes = {
    axis_line_color: color("grid"),
    major_tick_line_color: null,
    minor_tick_line_color: null,
    major_label_text_color: color("muted"),
    major_label_text_font: getComputedStyle(document.body).fontFamily,
    major_label_text_font_size: "12px",
  };
  for (const axis of [...figure.xaxes, ...figure.yaxes]) Object.assign(axis, axes);
  for (const lines of figure.center.filter((one) => "grid_line_color" in one)) {
    lines.grid_line_color = lines.dimension === 1 ? color("grid") : null;
  }
  return figure;
}
