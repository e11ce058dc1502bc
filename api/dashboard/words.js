// Numbers, times and names as people read them.

const MINUS = "−";

/** Four significant digits; very small and very large ones by powers of ten. Null is an em dash. */
export function number(value, digits = 4) {
  if (value === null || value === undefined || Number.isNaN(value)) return "—";
  const size = Math.abs(value);
  if (value === 0) return "0";
  if (size < 1e-4 || size >= 1e7)
    return value
      .toExponential(digits - 2)
      .replace("e-", "e" + MINUS)
      .replace("e+", "e");
  const text = Number.isInteger(value)
    ? value.toLocaleString("en")
    : String(Number(value.toPrecision(digits)));
  return text.replace(/^-/, MINUS);
}

/** `1,797`, `1.2M`. */
export function count(value) {
  if (value < 100_000) return value.toLocaleString("en");
  return new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 }).format(value);
}

/** `1.2 kB`. */
export function bytes(value) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  const power = Math.min(Math.floor(Math.log10(Math.max(value, 1)) / 3), units.length - 1);
  return `${Number((value / 1000 ** power).toPrecision(3))} ${units[power]}`;
}

export const percent = (share, digits = 0) => (share === null ? "—" : `${(share * 100).toFixed(digits)} %`);

/** `0.8 s`, `12 s`, `3 min 20 s`, `2 h 5 min`. */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "—";
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  if (h) return `${h} h ${m} min`;
  return m ? `${m} min ${s} s` : `${s} s`;
}

/** `just now`, `5 min ago`, or the day. */
export function ago(time) {
  const seconds = (Date.now() - new Date(time)) / 1000;
  if (seconds < 10) return "just now";
  if (seconds < 60) return `${Math.floor(seconds)} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ago`;
  return new Date(time).toLocaleDateString(undefined, { day: "numeric", month: "short", year: "numeric" });
}

/** A moment in full, in the reader's own time zone. */
export const moment = (time) => (time ? new Date(time).toLocaleString() : "—");

/** `early_stopping` → `early stopping`. */
export const plain = (word) => (word ?? "").replaceAll("_", " ");

const NAMES = { l1: "L1", l2: "L2" };

/** `batch_norm` → `Batch norm`, `l1` → `L1`. */
export const title = (name) => NAMES[name] ?? plain(name).replace(/^./, (letter) => letter.toUpperCase());

/** What a job is called: by its name, or the end of its id. */
export const called = (job) => job.name || `job …${job.id.slice(-8)}`;

/** Words of the API as a sentence. */
export function sentence(text) {
  const whole = text.replace(/^\p{Ll}/u, (letter) => letter.toUpperCase());
  return /[.!?)]$/.test(whole) ? whole : `${whole}.`;
}

/** One line of something long. */
export const short = (text, length = 80) => (text.length > length ? `${text.slice(0, length - 1)}…` : text);

/** The metric a table shows of a job: the first it was asked for, on validation rows; null where it has none. */
export function headline(job) {
  const name = (job.spec.metrics ?? [])[0] ?? "loss";
  const split = job.result?.validation;
  return { name, value: split?.[name] ?? split?.loss ?? null };
}
