// What tells jobs apart that are shown beside each other: their names, and the settings in which they differ.

import { at } from "./form.js";
import { HEADLINES, SEEDS, differing } from "./groups.js";
import { called, number, plain, short } from "./words.js";

const MOST = 4; // Settings in a label; the table beside it has them all.
const LONGEST = 60; // Letters of a name, or of a setting.
// What says most comes first: the rest mostly follows from the data.
const ORDER = ["dataset", "regularization", "network", "training", "optimizer", "preprocessing", "split", "metrics"];
const SHORT = { "training.seed": "seed", "split.seed": "split seed" };

/**
 * A label for each of some groups of jobs: `{ name, difference, text }`. The name is there where names differ, or
 * where nothing else does; the difference is what a group's spec has otherwise than the others': `l2 0.001 · dropout
 * 0.5`. No two labels have the same text.
 */
export function labelsOf(groups) {
  const firsts = groups.map(([job]) => job);
  const paths = differing(firsts.map(({ spec }) => spec)).filter(
    (path) => !SEEDS.includes(path) || groups.every((group) => group.length === 1),
  );
  paths.sort((one, other) => rank(one) - rank(other));
  const names = groups.map(commonName);
  const isNaming = new Set(names).size > 1;
  const labels = groups.map(([job], place) => {
    const difference = inWords(job, paths);
    const name = isNaming || !difference ? (names[place] ?? (difference ? null : called(job))) : null;
    return { name: name && short(name, LONGEST), difference, id: job.id };
  });
  return distinct(labels);
}

const rank = (path) => ORDER.indexOf(path.split(".")[0]);

function distinct(labels) {
  const text = ({ name, difference }) => [name, difference].filter(Boolean).join(" · ");
  const often = Map.groupBy(labels, text);
  return labels.map((label) => {
    const isAlone = often.get(text(label)).length === 1;
    const { name } = label;
    const difference = [label.difference, !isAlone && `…${label.id.slice(-6)}`].filter(Boolean).join(" · ");
    return { name, difference, text: text({ name, difference }) };
  });
}

/** What all jobs of a group are called, or how their names begin; null where they have none in common. */
function commonName(group) {
  const names = group.map(({ name }) => name);
  if (names.some((name) => !name)) return null;
  let [length, shortest] = [0, Math.min(...names.map((name) => name.length))];
  while (length < shortest && names.every((name) => name[length] === names[0][length])) length += 1;
  if (names.every((name) => name.length === length)) return names[0];
  const stem = names[0].slice(0, length).replace(/([\s\d._#:=,-]|\bseed\b)+$/i, "");
  return stem.length > 2 ? `${stem}…` : null;
}

/** What a job's spec has at some paths, in a few words; a technique that is off goes without saying. */
function inWords(job, paths) {
  const words = paths.map((path) => phrase(job, path));
  const said = words.filter(Boolean);
  if (!said.length && paths.length) return `without ${paths.map(leaf).slice(0, MOST).join(", ")}`;
  const more = said.length > MOST ? [`+${said.length - MOST}`] : [];
  return [...said.slice(0, MOST), ...more].join(" · ");
}

function phrase(job, path) {
  const told = setting(job, path);
  if (["off", "—"].includes(told)) return null;
  const name = SHORT[path] ?? leaf(path);
  if (path === "dataset") return short(told, LONGEST / 2);
  return short(told === "on" ? name : `${name} ${told}`, LONGEST);
}

/** The last word of a path; of a technique its name, and which of its settings, where that is not the main one. */
function leaf(path) {
  const words = path.split(".");
  if (words[0] !== "regularization") return plain(SHORT[path] ?? words.at(-1));
  return plain(words.slice(1, HEADLINES.includes(words.at(-1)) ? -1 : undefined).join(" "));
}

/** What a spec has at a path, in words; a technique by the setting that says most of it. */
export function setting(job, path) {
  if (path === "dataset") return job.dataset.name;
  const found = at(job.spec, `/${path.replaceAll(".", "/")}`);
  if (!found || typeof found !== "object" || Array.isArray(found)) return written(found);
  const headline = HEADLINES.find((name) => name in found);
  return headline ? written(found[headline]) : "on";
}

function written(value) {
  if (value === undefined) return "—";
  if (value === null) return "off";
  if (typeof value === "number") return number(value);
  if (Array.isArray(value)) return values(value).join(", ") || "none";
  return plain(String(value));
}

/** One value where all are the same. */
function values(list) {
  const words = list.map(item);
  return new Set(words).size === 1 && typeof list[0] === "number" && list.every((one) => one < 1) ? [words[0]] : words;
}

/** A monitor by its metric and patience. */
function item(one) {
  if (typeof one === "number") return number(one);
  if (typeof one !== "object") return String(one);
  return one.metric ? `${one.metric}, patience ${one.patience}` : JSON.stringify(one);
}
