// Signing in, where the server asks for keys. The key stays in this tab.

import { get, key } from "./calls.js";
import { announce, fill, h, say } from "./elements.js";

/** Ask for a key; `then()` once it is a good one. `reason` says why an earlier one is none. */
export function signIn(place, reason, then) {
  const input = h("input", {
    id: "key",
    type: "password",
    autocomplete: "off",
    required: true,
    spellcheck: "false",
    placeholder: "rl_…",
  });
  const wrong = h("p", { class: "wrong", role: "alert" }, reason);
  const form = h(
    "form",
    { class: "card door", onsubmit: (event) => (event.preventDefault(), attempt(input, wrong, then)) },
    h("h1", {}, "Sign in"),
    h(
      "p",
      { class: "muted" },
      "This server asks for an API key. It is kept in this tab alone, and forgotten when you close it.",
    ),
    h("label", { for: "key" }, "API key"),
    input,
    wrong,
    h("button", { class: "primary", type: "submit" }, "Sign in"),
  );
  fill(place, form);
  input.focus();
}

async function attempt(input, wrong, then) {
  const given = input.value.trim();
  if (!/^[\x21-\x7e]+$/.test(given))
    return say(wrong, "A key looks like rl_…, without spaces or line breaks.");
  key.keep(given);
  try {
    await get("/v1/projects/current");
    announce("Signed in.");
    then();
  } catch (error) {
    key.forget();
    say(wrong, error.message);
  }
}
