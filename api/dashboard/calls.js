// The public API and nothing else: every call of the dashboard goes through here, and can be copied from here.

const KEY = "ridgeline-key"; // Kept by the tab alone: gone with it, and unknown to other tabs.

/** What the API says is wrong: a problem document (RFC 9457). */
export class Problem extends Error {
  constructor(document, status, seconds = null) {
    super(document.detail || document.title || `The server answered ${status}.`);
    Object.assign(this, { document, status, seconds, errors: document.errors ?? [] });
  }
}

/** The server does not answer, or cannot just now; `seconds` is how long it asks to be left alone, if it says so. */
export class Away extends Error {
  constructor(message, seconds = null) {
    super(message);
    this.seconds = seconds;
  }
}

const LONGEST_PAUSE_SECONDS = 5; // Between two tries while the server is away.
const PATIENCE_SECONDS = 15; // For an answer; a server that hangs is as good as away.
const SILENCE_SECONDS = 40; // The stream of events says something every 15 seconds.

/** Tells of `away`, `here` and `refused` (no key, or no longer a good one). */
export const line = new EventTarget();
let isAway = false;

function tell(kind, detail) {
  if (kind === "away" ? isAway : kind === "here" && !isAway) return;
  if (kind !== "refused") isAway = kind === "away";
  line.dispatchEvent(new CustomEvent(kind, { detail }));
}

export const key = {
  get: () => sessionStorage.getItem(KEY),
  keep: (value) => sessionStorage.setItem(KEY, value),
  forget: () => sessionStorage.removeItem(KEY),
};

/**
 * A call as it comes: throws `Away` or `Problem` where it did not go well. `seconds` is how long it may take, null
 * for ever.
 */
export async function call(
  path,
  { method = "GET", body, headers = {}, signal, seconds = PATIENCE_SECONDS } = {},
) {
  const used = key.get();
  const sent = new Headers(headers);
  if (used) sent.set("Authorization", `Bearer ${used}`);
  const ends = [signal, seconds && AbortSignal.timeout(seconds * 1000)].filter(Boolean);
  const options = { method, body, headers: sent, cache: "no-store", credentials: "omit" };
  const answer = await heard(fetch(path, { ...options, signal: AbortSignal.any(ends) }));
  if (!answer.ok && answer.status !== 304) throw await refusal(answer, used);
  tell("here");
  return answer;
}

/** What comes of a fetch, or of reading its body; `Away` where the line broke or was silent for too long. */
async function heard(promise) {
  try {
    return await promise;
  } catch (error) {
    if (error.name === "AbortError") throw error;
    tell("away", "The server does not answer.");
    throw new Away("The server does not answer.");
  }
}

async function refusal(answer, used) {
  const seconds = Number(answer.headers.get("Retry-After")) || null;
  const problem = new Problem(await answer.json().catch(() => ({})), answer.status, seconds);
  if ([502, 503, 504].includes(answer.status)) {
    tell("away", problem.message);
    return new Away(problem.message, seconds);
  }
  tell("here");
  // Said of a key that has been changed meanwhile, it says nothing of the new one.
  if (answer.status === 401 && used === key.get()) tell("refused", problem.message);
  return problem;
}

export async function get(path, options) {
  return heard((await call(path, options)).json());
}

let known = null;

/** The catalog, which stays as it is while a server runs: asked for once. */
export function catalog() {
  known ??= get("/v1/catalog").catch((error) => {
    known = null;
    throw error;
  });
  return known;
}

/** A key for one submission (`Idempotency-Key`): also where the page did not come by HTTPS. */
export function freshKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) =>
    byte.toString(16).padStart(2, "0"),
  ).join("");
}

export async function send(method, path, value, headers = {}) {
  const options =
    value === undefined
      ? {}
      : { body: JSON.stringify(value), headers: { "Content-Type": "application/json" } };
  const answer = await call(path, { method, ...options, headers: { ...options.headers, ...headers } });
  return answer.status === 204 ? null : heard(answer.json());
}

/** `?a=1&b=2` of what is not empty. */
export function query(values) {
  const chosen = Object.entries(values).filter(
    ([, value]) => value !== null && value !== undefined && value !== "",
  );
  return chosen.length ? `?${new URLSearchParams(chosen)}` : "";
}

/** Something read again and again, and told only where it changed: the API says so by its ETag. */
export class Watched {
  #tag = null;
  #path = null;

  async read(path, signal) {
    const headers = path === this.#path && this.#tag ? { "If-None-Match": this.#tag } : {};
    const answer = await call(path, { headers, signal });
    if (answer.status === 304) return null;
    const document = await heard(answer.json());
    [this.#path, this.#tag] = [path, answer.headers.get("ETag")];
    return document;
  }
}

/** Do something every so many seconds until the signal, resting while nobody looks; more seldom while it fails. */
export async function every(seconds, signal, act) {
  let failures = 0;
  while (!signal.aborted) {
    try {
      if (!document.hidden) await act();
      failures = 0;
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof Away) && !(error instanceof Problem)) throw error;
      if (error instanceof Problem && error.status < 500 && error.status !== 429) throw error;
      failures += 1;
    }
    await pause(Math.min(seconds * 2 ** failures, Math.max(seconds, LONGEST_PAUSE_SECONDS)), signal);
  }
}

/** Rest for so long, or until the signal. */
export function pause(seconds, signal) {
  return new Promise((resolve) => {
    const over = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", over);
      resolve();
    };
    const timer = setTimeout(over, seconds * 1000);
    signal?.addEventListener("abort", over);
  });
}

/**
 * A job's live events, `{ kind, data, number }`, from behind an event's number to its end. A broken line is
 * taken up again where it broke. While nobody looks there is none: browsers allow six to a host, in all tabs
 * together. (An EventSource would not send a key.)
 */
export async function* events(jobId, after, signal) {
  while (!signal.aborted) {
    await looked(signal);
    const unseen = new AbortController();
    const leave = () => document.hidden && unseen.abort();
    document.addEventListener("visibilitychange", leave);
    try {
      const headers = { Accept: "text/event-stream", "Last-Event-ID": String(after) };
      const options = { headers, signal: AbortSignal.any([signal, unseen.signal]), seconds: null };
      const answer = await call(`/v1/jobs/${jobId}/events`, options);
      if (answer.status === 204) return;
      for await (const event of parsed(answer.body)) {
        after = event.number;
        yield event;
        if (event.kind === "end") return;
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof Problem) throw error;
    } finally {
      document.removeEventListener("visibilitychange", leave);
    }
    if (!unseen.signal.aborted) await pause(1, signal);
  }
}

/** Until somebody looks at the page, or the signal. */
async function looked(signal) {
  while (document.hidden && !signal.aborted) {
    const change = new AbortController();
    document.addEventListener("visibilitychange", () => change.abort(), { once: true, signal });
    await pause(3600, AbortSignal.any([signal, change.signal]));
  }
}

/** Server-sent events out of bytes (WHATWG HTML, 9.2.6), as far as this API uses them. */
async function* parsed(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await within(SILENCE_SECONDS, reader.read());
      if (done) return;
      const blocks = (rest + value).split("\n\n");
      rest = blocks.pop();
      for (const block of blocks) {
        const fields = Object.fromEntries(block.split("\n").map((text) => split(text)));
        if (fields.data)
          yield { kind: fields.event, number: Number(fields.id), data: JSON.parse(fields.data) };
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** What a promise comes to, or `Away` where it takes longer. */
async function within(seconds, promise) {
  const over = new AbortController();
  const late = pause(seconds, over.signal).then(() => {
    if (!over.signal.aborted) throw new Away("The server has fallen silent.");
  });
  try {
    return await Promise.race([promise, late.then(() => promise)]);
  } finally {
    over.abort();
  }
}

function split(text) {
  const colon = text.indexOf(":");
  return [text.slice(0, colon), text.slice(colon + 1).trimStart()];
}
