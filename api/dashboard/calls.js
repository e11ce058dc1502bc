// The public API and nothing else: every call of the dashboard goes through here, and can be copied from here.

const KEY = "ridgeline-key"; // Kept by the tab alone: gone with it, and unknown to other tabs.

/** What the API says is wrong: a problem document (RFC 9457). */
export class Problem extends Error {
  constructor(document, status) {
    super(document.detail || document.title || `The server answered ${status}.`);
    Object.assign(this, { document, status, errors: document.errors ?? [] });
  }
}

/** The server does not answer, or cannot just now. */
export class Away extends Error {}

const LONGEST_PAUSE_SECONDS = 5; // Between two tries while the server is away.

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

/** A call as it comes: throws `Away` or `Problem` where it did not go well. */
export async function call(path, { method = "GET", body, headers = {}, signal } = {}) {
  const sent = new Headers(headers);
  if (key.get()) sent.set("Authorization", `Bearer ${key.get()}`);
  let answer;
  try {
    answer = await fetch(path, {
      method,
      body,
      headers: sent,
      signal,
      cache: "no-store",
      credentials: "omit",
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    tell("away", "The server does not answer.");
    throw new Away("The server does not answer.");
  }
  if (answer.ok || answer.status === 304) {
    tell("here");
    return answer;
  }
  throw await refusal(answer);
}

async function refusal(answer) {
  const problem = new Problem(await answer.json().catch(() => ({})), answer.status);
  if ([502, 503, 504].includes(answer.status)) {
    tell("away", problem.message);
    return new Away(problem.message);
  }
  tell("here");
  if (answer.status === 401) tell("refused", problem.message);
  return problem;
}

export const get = async (path, options) => (await call(path, options)).json();

export async function send(method, path, value, headers = {}) {
  const options =
    value === undefined
      ? {}
      : { body: JSON.stringify(value), headers: { "Content-Type": "application/json" } };
  const answer = await call(path, { method, ...options, headers: { ...options.headers, ...headers } });
  return answer.status === 204 ? null : answer.json();
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
    [this.#path, this.#tag] = [path, answer.headers.get("ETag")];
    return answer.json();
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
    const timer = setTimeout(resolve, seconds * 1000);
    signal?.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });
}

/**
 * A job's live events, `{ kind, data, number }`, from behind an event's number to its end. A broken line is
 * taken up again where it broke. (An EventSource would do the same, but cannot send a key.)
 */
export async function* events(jobId, after, signal) {
  while (!signal.aborted) {
    try {
      const headers = { Accept: "text/event-stream", "Last-Event-ID": String(after) };
      const answer = await call(`/v1/jobs/${jobId}/events`, { headers, signal });
      if (answer.status === 204) return;
      for await (const event of parsed(answer.body)) {
        after = event.number;
        yield event;
        if (event.kind === "end") return;
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof Problem) throw error;
    }
    await pause(1, signal);
  }
}

/** Server-sent events out of bytes (WHATWG HTML, 9.2.6), as far as this API uses them. */
async function* parsed(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
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

function split(text) {
  const colon = text.indexOf(":");
  return [text.slice(0, colon), text.slice(colon + 1).trimStart()];
}
