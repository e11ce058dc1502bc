// Trains a network on wine.csv, follows it live, reads its curve and predicts: in a browser, or in Node 22+.
//
//     import { train } from "./with_eventsource.mjs";
//     const { job, curve, prediction } = await train({ server: "http://127.0.0.1:8000", csv, key, tell });
//
//     node examples/clients/with_eventsource.mjs [http://127.0.0.1:8000]
//
// `tell` is called with each line of the story. A page that is not the server's own must be named in its
// RIDGELINE_CORS_ORIGINS. Where the server asks for a key, it is `key`, or RIDGELINE_KEY in Node.

const SPEC = {
  name: "wine with EventSource",
  regularization: { dropout: 0.2, early_stopping: { monitor: "val_loss", patience: 10 } },
};
const TRIES = 30;

export async function train({ server, csv, key, tell = console.log }) {
  const ask = async (path, options) => (await answered(`${server}/v1${path}`, key, options)).json();

  // The same bytes are the same dataset: uploading them again makes no second one.
  const form = new FormData();
  form.append("file", new Blob([csv]), "wine.csv");
  form.append("target", "target");
  const dataset = await ask("/datasets", { method: "POST", body: form });

  // A 202 means that the job is committed. Sent again under its Idempotency-Key, it makes no second one.
  const submitted = await ask("/jobs", {
    method: "POST",
    headers: { "Content-Type": "application/json", "Idempotency-Key": `wine-${Date.now()}-${Math.random()}` },
    body: JSON.stringify({ ...SPEC, dataset: dataset.id }),
  });
  tell(`${dataset.id} → ${submitted.id}`);

  const losses = ({ epoch, values }) => tell(`epoch ${epoch}  ${values.train_loss}  ${values.val_loss}`);
  await follow(`${server}/v1/jobs/${submitted.id}/events`, key, {
    status: ({ status }) => tell(status),
    epoch: losses,
  });

  const job = await ask(`/jobs/${submitted.id}`);
  if (job.status !== "succeeded") throw new Error(`${job.status}: ${job.stop_detail}`);
  const curve = await ask(`/jobs/${job.id}/curves?series=train_loss,val_loss`);
  const best = job.result.best_epoch;
  tell(`best epoch ${best}: val_loss ${curve.series.val_loss[curve.epochs.indexOf(best)]}`);

  // A row names the file's own columns, in the file's own units; the target may come along.
  const { data: rows } = await ask(`/datasets/${dataset.id}/rows?limit=1`);
  const {
    predictions: [prediction],
  } = await ask(`/jobs/${job.id}/predict`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ rows }),
  });
  tell(`the first wine: ${prediction.label}, ${JSON.stringify(prediction.probabilities)}`);
  return { job, curve, prediction };
}

/** Hears a job's events as they happen, each by the listener of its kind; returns when the job has ended. */
export function follow(address, key, listeners) {
  // An EventSource sends no headers, so no key either: with a key the same stream is read from a fetch.
  const hear = key || !globalThis.EventSource ? followByFetch : followByEventSource;
  return hear(address, key, listeners);
}

function followByEventSource(address, _key, listeners) {
  return new Promise((resolve, reject) => {
    const source = new EventSource(address);
    for (const [kind, listener] of Object.entries(listeners)) {
      source.addEventListener(kind, (event) => listener(JSON.parse(event.data)));
    }
    source.addEventListener("end", () => {
      source.close(); // Or it would come back to ask whether there is more.
      resolve();
    });
    // After a cut it comes back by itself, with Last-Event-ID, and misses nothing. Only a refusal closes it.
    source.addEventListener("error", () => {
      if (source.readyState === EventSource.CLOSED) reject(new Error(`${address} was refused`));
    });
  });
}

async function followByFetch(address, key, listeners) {
  let last = 0;
  for (let tries = 0; tries < TRIES; tries += 1) {
    try {
      const headers = { Accept: "text/event-stream" };
      const stream = await answered(`${address}?after=${last}`, key, { headers });
      for await (const { id, event, data } of messages(stream.body)) {
        [last, tries] = [id, 0];
        if (event === "end") return;
        listeners[event]?.(JSON.parse(data));
      }
    } catch (error) {
      if (error instanceof Refused) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 1000)); // The line was cut: go on where it was.
  }
  throw new Error(`no answer from ${address}`);
}

/** The messages of an event stream: blocks of `field: value` with an empty line behind each. */
async function* messages(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  for (let text = "", chunk; !(chunk = await reader.read()).done; ) {
    const blocks = (text + chunk.value).split("\n\n");
    text = blocks.pop();
    for (const block of blocks) {
      const message = Object.fromEntries(block.split("\n").map((line) => line.split(/: (.*)/, 2)));
      if (message.data) yield message;
    }
  }
}

class Refused extends Error {}

/** An answer; of what is refused, which is a problem document, it is told what to mend. */
async function answered(address, key, { headers, ...options } = {}) {
  const authorization = key ? { Authorization: `Bearer ${key}` } : {};
  const answer = await fetch(address, { ...options, headers: { ...headers, ...authorization } });
  if (answer.ok) return answer;
  const { detail, errors = [] } = await answer.json();
  const wrong = errors.map((one) => `${one.pointer}: ${one.detail}`);
  throw new Refused([`${answer.status} ${detail}`, ...wrong].join("\n  "));
}

// Run by Node, and not imported.
if (globalThis.process?.argv?.[1]) {
  const { argv, env } = globalThis.process;
  const { pathToFileURL } = await import("node:url");
  if (import.meta.url === pathToFileURL(argv[1]).href) {
    const { readFile } = await import("node:fs/promises");
    const csv = await readFile(new URL("../wine.csv", import.meta.url));
    const server = argv[2] ?? env.RIDGELINE_SERVER ?? "http://127.0.0.1:8000";
    await train({ server, csv, key: env.RIDGELINE_KEY }); // What it throws is Node's to print, and to exit with 1.
  }
}
