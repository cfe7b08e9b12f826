// What pages cannot do by themselves: keys, copying, rows that open, forms that go once.
"use strict";

const typing = (at) => at && (at.closest("input, textarea, select, [contenteditable]") || at.closest("dialog[open]"));
const rows = () => [...document.querySelectorAll("main tr[data-href]")];
let going = 0;

function step(by) {
  const all = rows();
  if (!all.length) return;
  const now = all.findIndex((row) => row.classList.contains("at"));
  const next = Math.min(all.length - 1, Math.max(0, now < 0 ? (by > 0 ? 0 : all.length - 1) : now + by));
  all.forEach((row) => row.classList.remove("at"));
  all[next].classList.add("at");
  all[next].scrollIntoView({ block: "nearest" });
  const link = all[next].querySelector("a");
  if (link) link.focus({ preventScroll: true });
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (event.key === "Escape" && typing(document.activeElement)) return document.activeElement.blur();
  if (typing(event.target)) return;
  if (Date.now() - going < 1500) {
    going = 0;
    const way = document.querySelector(`[data-go="${CSS.escape(event.key)}"]`);
    if (way) return way.click();
  }
  if (event.key === "g") return void (going = Date.now());
  if (event.key === "j" || event.key === "k") return step(event.key === "j" ? 1 : -1);
  if (event.key === "?") {
    const keys = document.getElementById("keys");
    if (keys) keys.showModal();
    return;
  }
  const field = document.querySelector(`[data-focus="${CSS.escape(event.key)}"]`);
  if (field) {
    event.preventDefault();
    return field.focus();
  }
  // A button or link that says which key presses it. Never a form of money by one key alone: those open a dialog.
  const press = document.querySelector(`[data-key="${CSS.escape(event.key)}"]:not([disabled])`);
  if (press) {
    event.preventDefault();
    press.click();
  }
});

document.addEventListener("click", async (event) => {
  const copy = event.target.closest("[data-copy]");
  if (copy) {
    await navigator.clipboard.writeText(copy.dataset.copy);
    copy.classList.add("copied");
    return void setTimeout(() => copy.classList.remove("copied"), 1200);
  }
  const opens = event.target.closest("[data-open]");
  if (opens) {
    const dialog = document.getElementById(opens.dataset.open);
    dialog.showModal();
    if (dialog.querySelector("[autofocus]")) return; // the browser has gone there
    const first = dialog.querySelector("textarea, input:not([type=hidden])");
    return first && first.focus();
  }
  const shuts = event.target.closest("[data-close]");
  if (shuts) return shuts.closest("dialog").close();
  const row = event.target.closest("tr[data-href]");
  if (row && !event.target.closest("a, button, input, label, select") && !String(getSelection())) {
    const link = row.querySelector(`a[href="${CSS.escape(row.dataset.href)}"]`);
    if (event.metaKey || event.ctrlKey) window.open(row.dataset.href);
    else if (link) link.click();
    else location.assign(row.dataset.href);
  }
});

document.addEventListener("change", (event) => {
  if (event.target.matches("[data-submit]")) event.target.form.requestSubmit();
});

// A form goes once: its buttons rest until the next page, or until an answer within this one.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method === "dialog" || form.method === "get") return;
  if (form.dataset.sent) return event.preventDefault();
  form.dataset.sent = "yes";
  setTimeout(() => form.querySelectorAll("button").forEach((button) => (button.disabled = true)));
});
for (const name of ["htmx:afterRequest", "pageshow"]) {
  addEventListener(name, () =>
    document.querySelectorAll("form[data-sent]").forEach((form) => {
      delete form.dataset.sent;
      form.querySelectorAll("button").forEach((button) => (button.disabled = false));
    }),
  );
}

// What a page asks by itself (a clock, the pulse) is no sign of life: only what a person's own event led to is.
document.addEventListener("htmx:configRequest", (event) => {
  if (!event.detail.triggeringEvent?.isTrusted) event.detail.headers["X-Unasked"] = "1";
});

// "updated 4 s ago", counted where it stands.
setInterval(() => {
  for (const mark of document.querySelectorAll("[data-since]")) {
    const seconds = Math.max(0, Math.round((Date.now() - Number(mark.dataset.since)) / 1000));
    mark.textContent = `updated ${seconds < 90 ? `${seconds} s` : `${Math.floor(seconds / 60)} min`} ago`;
  }
}, 1000);
