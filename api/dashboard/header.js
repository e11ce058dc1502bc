// The names of a file's columns, read here from its first bytes: a target can be chosen before anything is sent.
// The server reads the whole file by rules of its own (docs/api.md), and has the last word on what the names are.

const PIECE = 65_536; // Bytes that are read at first.
const MOST = 1_048_576; // Bytes in which a first line of very many columns has to end.
const RECORDS = 30; // By which it is told what separates the cells.
const DELIMITERS = [",", ";", "\t", "|"];
const WRITE = "Write the target's name, or leave it empty for the last column.";
const COMMENT = /^(#|\/\/|%)/;

/**
 * `{ names, remarks }`: the names of a file's columns, and what to know about them. `names` is null where they are
 * not to be read here, and the first remark says why.
 */
export async function readHeader(file) {
  for (let size = PIECE; ; size *= 4) {
    const found = await readWithin(file, Math.min(size, MOST));
    if (found) return found;
    if (size >= MOST || size >= file.size)
      return { names: null, remarks: ["The first line is longer than what is read here: write the target's name."] };
  }
}

/** As `readHeader`, from so many bytes; null where the line of names does not end within them. */
async function readWithin(file, size) {
  const raw = new Uint8Array(await file.slice(0, size).arrayBuffer());
  const isPacked = raw[0] === 0x1f && raw[1] === 0x8b;
  const bytes = isPacked ? await unpack(raw) : raw;
  const excuse = bytes ? foreign(bytes) : "This gzip file is read by the server.";
  if (excuse) return { names: null, remarks: [excuse, WRITE] };
  const isWhole = !isPacked && file.size <= size;
  const { text, remarks } = decode(bytes, isWhole);
  const found = namesIn(text, isWhole);
  if (!found) return isPacked ? { names: null, remarks: ["The line of names is read by the server."] } : null;
  return { names: found, remarks: [...remarks, ...doubts(found)] };
}

/** The first bytes of what gzip has packed, as many as come of a file's first bytes; null where it is damaged. */
async function unpack(packed) {
  const stream = new DecompressionStream("gzip");
  const writer = stream.writable.getWriter();
  writer.write(packed).catch(() => {}); // The end is missing, or lies behind what is wanted.
  const reader = stream.readable.getReader();
  try {
    const { value } = await reader.read();
    return value?.subarray(0, PIECE) ?? null;
  } catch {
    return null;
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** What a file is whose names are not text that is read here. */
function foreign(bytes) {
  const begins = (...codes) => codes.every((code, place) => bytes[place] === code);
  if (!bytes.length) return "The file is empty.";
  if (begins(0x50, 0x41, 0x52, 0x31)) return "Parquet: the server reads its columns.";
  if (begins(0x50, 0x4b)) return "An archive, as NPZ is: the server reads its arrays.";
  const zeros = [0, 1].map((odd) => bytes.filter((byte, place) => place % 2 === odd && byte === 0).length);
  const isWide = begins(0xff, 0xfe) || begins(0xfe, 0xff) || Math.max(...zeros) > bytes.length / 8;
  return isWide ? "This seems to be UTF-16, which the server refuses: save it as UTF-8." : null;
}

function decode(bytes, isWhole) {
  try {
    // Where the file goes on, the last letter may be cut in two.
    return { text: new TextDecoder("utf-8", { fatal: true }).decode(bytes, { stream: !isWhole }), remarks: [] };
  } catch {
    const remark = "This is not UTF-8, but Latin-1 by the look of it, which the server refuses: save it as UTF-8.";
    return { text: new TextDecoder("windows-1252").decode(bytes), remarks: [remark] };
  }
}

/** The cells of the line of names; null where it does not end in the text. */
function namesIn(text, isWhole) {
  let body = text;
  const sep = /^sep=(.)\r?\n/i.exec(body);
  if (sep) body = body.slice(sep[0].length);
  const candidates = sep ? [sep[1]] : DELIMITERS;
  const tables = candidates.map((delimiter) => withoutPreamble(records(body, delimiter, isWhole)));
  const likeness = (rows) => (rows[0]?.length > 1 ? rows.filter(({ length }) => length === rows[0].length).length : 0);
  const best = tables.reduce((a, b) => (likeness(b) > likeness(a) ? b : a));
  return best[0]?.map((name) => name.trim()) ?? null;
}

/** Without the empty lines and comments above the names. `#id,age` above cells of the same number is no comment. */
function withoutPreamble(rows) {
  const filled = rows.filter((row) => row.some((cell) => cell.trim()));
  const isComment = (row, place) =>
    COMMENT.test(row[0].trim()) && !(row.length > 1 && row.length === filled[place + 1]?.length);
  return filled.slice(Math.max(0, filled.findIndex((row, place) => !isComment(row, place))));
}

/** The first records of a text (RFC 4180); a last one that is cut off does not count. */
function records(text, delimiter, isWhole) {
  const rows = [];
  let [row, cell, isQuoted, begun] = [[], "", false, false];
  const next = () => (row.push(cell), ([cell, begun] = ["", false]));
  for (let at = 0; at < text.length && rows.length < RECORDS; at += 1) {
    const letter = text[at];
    if (isQuoted) {
      if (letter !== '"') cell += letter;
      else if (text[at + 1] === '"') ((cell += '"'), (at += 1));
      else isQuoted = false;
    } else if (letter === '"' && !begun) [isQuoted, begun] = [true, true];
    else if (letter === delimiter) next();
    else if (letter === "\n" || letter === "\r") {
      if (letter === "\r" && text[at + 1] === "\n") at += 1;
      next();
      rows.push(row);
      row = [];
    } else ((cell += letter), (begun = true));
  }
  if (isWhole && rows.length < RECORDS && (cell || row.length)) (next(), rows.push(row));
  return rows;
}

/** What the server will say of such names. */
function doubts(names) {
  const filled = names.filter(Boolean);
  const twice = filled.find((name, place) => filled.indexOf(name, place + 1) > 0);
  return [
    twice !== undefined && `Two columns are called ${twice}: the server refuses that. Give one another name.`,
    filled.length === 0 && "No column has a name.",
  ].filter(Boolean);
}
