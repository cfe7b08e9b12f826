// The queue updates itself and never moves under the cursor: rows change where they stand and leave softly; new ones
// wait until they are asked for.
"use strict";

const LEAVES_IN = 120;

function merge(text) {
  const news = new DOMParser().parseFromString(text, "text/html");
  const list = document.getElementById("list");
  const fresh = news.getElementById("list");
  Idiomorph.morph(document.getElementById("tabs"), news.getElementById("tabs"));
  const there = new Map([...fresh.querySelectorAll("tr[data-case]")].map((row) => [row.dataset.case, row]));
  const shown = [...list.querySelectorAll("tr[data-case]")];
  for (const row of shown) {
    const now = there.get(row.dataset.case);
    there.delete(row.dataset.case);
    if (now) update(row, now);
    else leave(row);
  }
  const foot = list.querySelector("tfoot");
  const sums = fresh.querySelector("tfoot");
  if (foot && sums) foot.replaceWith(sums);
  offer(there.size);
  for (const mark of document.querySelectorAll("[data-since]")) mark.dataset.since = Date.now();
}

function update(row, now) {
  const box = row.querySelector("input[type=checkbox]");
  const kept = { chosen: box && box.checked, at: row.classList.contains("at") };
  if (row.innerHTML !== now.innerHTML) Idiomorph.morph(row, now, { ignoreActive: true });
  row.classList.toggle("at", kept.at);
  row.classList.remove("gone");
  const same = row.querySelector("input[type=checkbox]");
  if (same) same.checked = Boolean(kept.chosen);
}

function leave(row) {
  const box = row.querySelector("input[type=checkbox]");
  if (box) box.checked = false;
  if (row.classList.contains("at") || row.contains(document.activeElement)) return row.classList.add("gone");
  row.classList.add("leaving");
  setTimeout(() => row.remove(), LEAVES_IN);
  setTimeout(count, LEAVES_IN);
}

function offer(many) {
  const link = document.getElementById("fresh");
  link.hidden = !many;
  link.textContent = many ? `${many} new ${many === 1 ? "case" : "cases"} — show` : "";
}

function count() {
  const chosen = document.querySelectorAll("#bulk input[name=case]:checked").length;
  for (const button of document.querySelectorAll("[data-bulk]")) {
    button.disabled = !chosen;
    button.firstChild.textContent = chosen ? `${button.dataset.bulk} ${chosen} ` : `${button.dataset.bulk} `;
  }
}

addEventListener("htmx:afterRequest", (event) => {
  if (event.target.id === "news" && event.detail.successful) merge(event.detail.xhr.responseText);
});
document.addEventListener("change", (event) => {
  if (event.target.name === "case") count();
});
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input:not([type=checkbox]), textarea, select, dialog[open]")) return;
  const row = document.querySelector("#list tr.at");
  const box = row && row.querySelector("input[name=case]");
  if (event.key === "x" && box) {
    box.checked = !box.checked;
    count();
  }
  if (event.key === "c") {
    if (box && !document.querySelector("#bulk input[name=case]:checked")) box.checked = true;
    count();
    const claim = document.querySelector('[data-bulk="Claim"]');
    if (claim && !claim.disabled) claim.click();
  }
});
addEventListener("pageshow", count);
