// What is where: from the address behind the `#` to a page, and what surrounds every page.

import { Away, get, key, line, pause } from "./calls.js";
import { entitle, fill, h, say } from "./elements.js";
import { Tray } from "./tray.js";

/** A page is `open(main, { id, values, signal })`; the signal ends when somebody goes elsewhere. */
const PAGES = [
  [/^\/jobs$/, "Jobs", () => import("./jobs.js")],
  [/^\/jobs\/(job_\w+)$/, "Job", () => import("./job.js")],
  [/^\/compare$/, "Compare", () => import("./compare.js")],
  [/^\/new$/, "New job", () => import("./new.js")],
  [/^\/datasets$/, "Datasets", () => import("./datasets.js")],
  [/^\/datasets\/(ds_\w+)$/, "Dataset", () => import("./dataset.js")],
];

const RETRY_SECONDS = 1;
const WORKERS_SECONDS = 5;

const main = document.getElementById("main");
const tray = new Tray(document.getElementById("tray"));
let leaving = new AbortController();

/** The address as a page sees it. */
function address() {
  const [path, query = ""] = location.hash.replace(/^#/, "").split("?");
  return { path: path || "/jobs", values: new URLSearchParams(query) };
}

async function open() {
  leaving.abort();
  const here = (leaving = new AbortController());
  const { path, values } = address();
  const [pattern, title, load] = PAGES.find(([one]) => one.test(path)) ?? [/^/, "Not found", nowhere];
  entitle(title); // Until the page says more, as soon as it knows what it shows.
  mark(path);
  fill(main, h("p", { class: "waiting" }, "…"));
  try {
    const page = await load().catch(unfetched);
    if (here.signal.aborted) return;
    main.replaceChildren();
    await page.open(main, { id: pattern.exec(path)[1], values, signal: here.signal });
  } catch (error) {
    if (here.signal.aborted) return;
    if (!(error instanceof Away)) return wrong(error);
    // The server is away: the same page again, until it is back or somebody goes elsewhere.
    await pause(RETRY_SECONDS, here.signal);
    if (!here.signal.aborted) open();
  }
}

/** A script that cannot be fetched means that the server is away; any other error is ours. */
function unfetched(error) {
  throw error instanceof TypeError ? new Away(error.message) : error;
}

const nowhere = async () => ({
  open: (place) =>
    fill(
      place,
      h(
        "div",
        { class: "card" },
        h("h1", {}, "There is no such page"),
        h("p", {}, h("a", { href: "#/jobs" }, "To the jobs")),
      ),
    ),
});

function wrong(error) {
  if (error.status === 401) return;
  const title = error.status === 404 ? "It is not here" : "That did not work";
  entitle(title);
  fill(
    main,
    h(
      "div",
      { class: "card" },
      h("h1", {}, title),
      h("p", { role: "alert" }, error.message),
      h(
        "p",
        { class: "bar" },
        h("button", { type: "button", onclick: open }, "Try again"),
        h("a", { href: "#/jobs" }, "To the jobs"),
      ),
    ),
  );
  if (!error.status) console.error(error);
}

function mark(path) {
  for (const link of document.querySelectorAll("#places a")) {
    const isHere = path.startsWith(link.getAttribute("href").slice(1)) && link.hash;
    isHere ? link.setAttribute("aria-current", "page") : link.removeAttribute("aria-current");
  }
}

function follow(event) {
  // The first Tab on a new page leads into it, for those who go by keyboard.
  if (event?.oldURL) main.focus({ preventScroll: true });
  window.scrollTo(0, 0);
  open();
}

// Signing in ----------------------------------------------------------------------------------------------

let isAsking = false;

async function ask(reason) {
  if (isAsking) return; // Several calls may be refused at once; the first reason stays.
  isAsking = true;
  tray.forget();
  leaving.abort();
  welcome();
  const { signIn } = await import("./door.js");
  entitle("Sign in");
  signIn(main, reason, () => ((isAsking = false), welcome(), open()));
}

function welcome() {
  document.getElementById("leave").hidden = !key.get();
  if (isAsking) say(document.getElementById("workers"), "");
}

// What is always there ------------------------------------------------------------------------------------

const away = document.getElementById("away");
line.addEventListener(
  "away",
  ({ detail }) => ((away.hidden = false), say(away, `${detail} Trying again; what you see may be old.`)),
);
line.addEventListener("here", () => ((away.hidden = true), say(away, "")));
line.addEventListener("refused", ({ detail }) => {
  if (isAsking) return; // The form says itself what is wrong with what it was given.
  const had = key.get();
  key.forget();
  ask(had ? detail : null);
});

document.getElementById("leave").addEventListener("click", () => (key.forget(), welcome(), ask(null)));
document.getElementById("theme").addEventListener("click", () => {
  const root = document.documentElement;
  const dark = root.dataset.theme
    ? root.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  localStorage.setItem("ridgeline-theme", root.dataset.theme);
  window.dispatchEvent(new Event("recolored"));
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () =>
  window.dispatchEvent(new Event("recolored")),
);

/** How many train now, beside the name of the place. */
async function tellWorkers() {
  const workers = (await get("/v1/workers")).data;
  const busy = workers.filter(({ state }) => state === "busy").length;
  const place = document.getElementById("workers");
  place.classList.toggle("none", workers.length === 0);
  say(place, workers.length ? `${busy} of ${workers.length} workers busy` : "no workers");
}

async function watchWorkers() {
  for (;;) {
    if (!isAsking && !document.hidden) await tellWorkers().catch(() => {});
    await pause(WORKERS_SECONDS);
  }
}

document.querySelector(".skip").addEventListener("click", (event) => (event.preventDefault(), main.focus()));
window.addEventListener("hashchange", follow);
welcome();
open();
watchWorkers();
// The other pages while there is nothing else to do: later there may be no server to fetch them from.
window.addEventListener("load", () =>
  requestIdleCallback(() => PAGES.forEach(([, , load]) => load().catch(() => {}))),
);
