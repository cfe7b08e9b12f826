// A case that two people have open: each sees the other, and the page is renewed unless something was typed in it.
"use strict";

const QUIET_AFTER = 5 * 60 * 1000; // whoever has not touched anything for so long is not here
let touched = Date.now();

for (const name of ["pointermove", "keydown", "scroll"]) addEventListener(name, () => (touched = Date.now()), { passive: true });

const fields = () => [...document.querySelectorAll("main textarea, main dialog input:not([type=hidden])")];
const isTyped = () => document.querySelector("main dialog[open]") || fields().some((field) => field.value !== field.defaultValue);

function doing() {
  const seen = document.querySelector("#seen [name=doing]");
  const at = document.activeElement;
  const writes = at && at.matches("[data-writing]") ? "writing" : "looking";
  const turned = seen && seen.value !== writes;
  if (seen) seen.value = writes;
  return turned;
}

function beat() {
  if (document.hidden || Date.now() - touched > QUIET_AFTER) return;
  doing();
  htmx.trigger("#presence", "beat");
}

setInterval(beat, 10_000);
for (const name of ["focusin", "focusout"]) {
  document.addEventListener(name, () => setTimeout(() => doing() && htmx.trigger("#presence", "beat")));
}

// Money that is under way, or a colleague's act: the page is read anew where nothing is lost by it, else it says so.
const note = () => document.querySelector("#changed .changed");

addEventListener("htmx:afterSettle", () => {
  const told = note();
  if (!told) return;
  if (isTyped()) told.hidden = false;
  else if (!told.dataset.read) {
    told.dataset.read = "yes";
    htmx.ajax("GET", location.pathname, { target: "#page", select: "#page", swap: "outerHTML" });
  }
});
addEventListener("htmx:beforeSwap", (event) => {
  if (event.detail.target.id !== "page" || !isTyped()) return; // somebody began to type while it was read
  event.detail.shouldSwap = false;
  if (note()) note().hidden = false;
});

document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && event.target.matches("[data-send]")) {
    event.preventDefault();
    event.target.form.requestSubmit();
  }
});
