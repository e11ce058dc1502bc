// A curve the size of a word: training and validation loss in a table's row.

import { fill, s } from "./elements.js";

const [WIDTH, HEIGHT, MARGIN] = [112, 28, 2];

/** An SVG of the two losses, and a dot at the best epoch; empty where there is nothing to draw yet. */
export function spark() {
  const picture = s("svg", {
    class: "spark",
    viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
    width: WIDTH,
    height: HEIGHT,
    "aria-hidden": "true",
  });
  return { element: picture, show: (curve) => fill(picture, ...drawn(curve)) };
}

function drawn(curve) {
  if (!curve || curve.epochs.length < 2) return [];
  const lists = [curve.values("train_loss"), curve.values("val_loss")];
  const place = scale(
    curve.epochs,
    lists.flat().filter((value) => value !== null),
  );
  if (!place) return [];
  const lines = lists.map((list, index) =>
    s("path", { class: index ? "val" : "train", d: path(curve.epochs, list, place) }),
  );
  const at = curve.epochs.indexOf(curve.best);
  const best = at < 0 ? null : (lists[1][at] ?? lists[0][at]);
  const dot = best === null || best === undefined ? [] : [place(curve.best, best)];
  return [...lines, ...dot.map(([cx, cy]) => s("circle", { class: "best", cx, cy, r: 2.5 }))];
}

function scale(epochs, values) {
  const positive = values.every((value) => value > 0);
  const high = Math.max(...values);
  const low = Math.min(...values);
  if (!values.length) return null;
  const level = positive && high / low > 20 ? Math.log : (value) => value;
  const [first, span] = [epochs[0], epochs.at(-1) - epochs[0] || 1];
  const rise = level(high) - level(low) || 1;
  return (epoch, value) => [
    MARGIN + ((epoch - first) / span) * (WIDTH - 2 * MARGIN),
    HEIGHT - MARGIN - ((level(value) - level(low)) / rise) * (HEIGHT - 2 * MARGIN),
  ];
}

function path(epochs, list, place) {
  let pen = "M";
  return list
    .map((value, index) => {
      if (value === null) return ((pen = "M"), "");
      const [x, y] = place(epochs[index], value);
      const step = `${pen}${x.toFixed(1)} ${y.toFixed(1)}`;
      pen = "L";
      return step;
    })
    .join("");
}
