// The same call for several jobs: a few at once, as fast as the API's limits allow, and what became of each.

import { Away, Problem, pause } from "./calls.js";

const AT_ONCE = 4;
const AWAY_SECONDS = 2;
const LIMITED_SECONDS = 5; // Where the API does not say how long to wait.

/**
 * Call `act(job)` for each job. A limit that is reached, or a server that is away, is waited for; whatever else
 * goes wrong is that job's. `tell({ done, of, waits })` is told how far it is, and for how many seconds it waits.
 * The answer is `{ done, gone, refused: [{ job, why }], left }`: gone is what was not there any more, left what the
 * signal came before.
 */
export async function forEach(jobs, act, { signal, tell }) {
  const outcome = { done: [], gone: [], refused: [], left: [] };
  const waiting = [...jobs];
  const told = (waits = 0) => tell({ done: jobs.length - waiting.length, of: jobs.length, waits });
  const work = async () => {
    while (waiting.length && !signal.aborted) {
      const job = waiting.shift();
      try {
        await patiently(() => act(job), signal, told);
        outcome.done.push(job);
      } catch (error) {
        if (signal.aborted) outcome.left.push(job);
        else if (!(error instanceof Problem)) throw error;
        else if (error.status === 404) outcome.gone.push(job);
        else outcome.refused.push({ job, why: error.message });
      }
      told();
    }
  };
  told();
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  outcome.left.push(...waiting);
  return outcome;
}

async function patiently(act, signal, told) {
  for (;;) {
    try {
      return await act();
    } catch (error) {
      const seconds = patience(error);
      if (!seconds || signal.aborted) throw error;
      told(seconds);
      await pause(seconds, signal);
      if (signal.aborted) throw error;
    }
  }
}

/** How long to wait before the same call again; 0 where it would be of no use. */
function patience(error) {
  if (error instanceof Away) return error.seconds ?? AWAY_SECONDS;
  return error.status === 429 ? (error.seconds ?? LIMITED_SECONDS) : 0;
}
