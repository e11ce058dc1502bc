// Several jobs side by side: in what their specs differ, and which are the same but for their seeds.

const NAMES = ["name", "metadata", "priority"]; // What tells jobs apart without training them differently.
export const HEADLINES = ["strength", "hidden"]; // The setting that says most of a technique.
export const SEEDS = ["training.seed", "split.seed"];

/** `{"network.hidden": [64, 32], …}`: each leaf of a spec under its path. */
function flat(spec, path = "") {
  return Object.entries(spec).flatMap(([name, value]) => {
    const here = path ? `${path}.${name}` : name;
    const isInner =
      value !== null && typeof value === "object" && !Array.isArray(value) && Object.keys(value).length > 0;
    return isInner ? flat(value, here) : [[here, value]];
  });
}

/**
 * The paths in which some of the specs differ, in the order of the spec. A technique that is off in some is one
 * path itself; its settings are, where those that have it on differ in them.
 */
export function differing(specs) {
  const flats = specs.map((spec) => new Map(flat(spec)));
  const all = [...new Set(flats.flatMap((one) => [...one.keys()]))];
  const isNamed = (path) => NAMES.some((name) => path === name || path.startsWith(`${name}.`));
  const off = all.filter(
    (path) =>
      flats.some((one) => one.get(path) === null) && all.some((other) => other.startsWith(`${path}.`)),
  );
  const varies = (path) => {
    const technique = off.find((one) => path.startsWith(`${one}.`));
    if (HEADLINES.some((name) => path === `${technique}.${name}`)) return false; // It stands for the technique.
    const asked = technique ? flats.filter((one) => one.get(technique) !== null) : flats;
    return new Set(asked.map((one) => JSON.stringify(one.get(path)))).size > 1;
  };
  return all.filter((path) => !isNamed(path) && (off.includes(path) || varies(path)));
}

/** Jobs in groups whose specs are the same but for seeds and names; in the order they came. */
export function replicates(jobs) {
  const groups = new Map();
  for (const job of jobs) {
    const key = JSON.stringify(
      flat(job.spec).filter(([path]) => !SEEDS.includes(path) && !NAMES.includes(path.split(".")[0])),
    );
    groups.set(key, [...(groups.get(key) ?? []), job]);
  }
  return [...groups.values()];
}

export function mean(values) {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** The sample's standard deviation; 0 of a single value. */
export function deviation(values) {
  const middle = mean(values);
  return values.length < 2
    ? 0
    : Math.sqrt(values.reduce((sum, value) => sum + (value - middle) ** 2, 0) / (values.length - 1));
}

/**
 * Mean and standard deviation of several curves, epoch by epoch, as far as all of them go. They are thinned each
 * in its own way, so values between two epochs are read off the line between them.
 */
export function averaged(curves, name) {
  const whole = curves.map((curve) => points(curve, name)).filter(({ x }) => x.length > 0);
  if (whole.length === 0) return { x: [], middle: [], low: [], high: [] };
  const end = Math.min(...whole.map(({ x }) => x.at(-1)));
  const x = [...new Set(whole.flatMap((one) => one.x))].filter((epoch) => epoch <= end).sort((a, b) => a - b);
  const columns = whole.map((one) => interpolated(one, x));
  const rows = x.map((_, at) => columns.map((column) => column[at]));
  const middle = rows.map(mean);
  const spread = rows.map(deviation);
  return {
    x,
    middle,
    low: middle.map((value, at) => value - spread[at]),
    high: middle.map((value, at) => value + spread[at]),
  };
}

function points(curve, name) {
  const known = curve
    .values(name)
    .map((value, at) => [curve.epochs[at], value])
    .filter(([, value]) => value !== null);
  return { x: known.map(([epoch]) => epoch), y: known.map(([, value]) => value) };
}

function interpolated({ x, y }, wanted) {
  let at = 0;
  return wanted.map((epoch) => {
    while (at < x.length - 2 && x[at + 1] < epoch) at += 1;
    if (epoch <= x[at] || x.length === 1) return y[at];
    const share = Math.min((epoch - x[at]) / (x[at + 1] - x[at]), 1);
    return y[at] + share * (y[at + 1] - y[at]);
  });
}
