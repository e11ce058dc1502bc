// Labels as people write them to find jobs by, `team=risk, year=2026`, and as the API's parameters have them.

export const LABEL = "metadata."; // As the parameters begin.

/** `{"metadata.team": "risk", "metadata.year": "2026"}` → `team=risk, year=2026`. */
export function labelsOf(chosen) {
  const labels = Object.entries(chosen).filter(([name]) => name.startsWith(LABEL));
  const written = (text) => (/[,"]|^\s|\s$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  return labels.map(([name, value]) => written(`${name.slice(LABEL.length)}=${value}`)).join(", ");
}

/** `team=risk, "note=a, b"` → parameters of the API; throws an Error that says what is not a label. */
export function readLabels(text) {
  const pieces = [...text.matchAll(/\s*(?:"((?:[^"]|"")*)"|([^,]*))\s*(?:,|$)/g)]
    .map(([, quoted, plain]) => quoted?.replaceAll('""', '"') ?? plain.trim())
    .filter(Boolean);
  const labels = pieces.map((piece) => {
    const at = piece.indexOf("=");
    if (at < 1) throw new Error(`a label is written key=value, as in team=risk; ${piece} is not`);
    return [LABEL + piece.slice(0, at).trim(), piece.slice(at + 1).trim()];
  });
  const names = labels.map(([name]) => name);
  const twice = names.find((name, place) => names.indexOf(name) < place);
  if (twice) throw new Error(`${twice.slice(LABEL.length)} is asked for twice`);
  return Object.fromEntries(labels);
}
