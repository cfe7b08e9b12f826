// A list that updates itself and never moves under the cursor: rows change where they stand and leave softly; new ones
// wait until they are asked for. The page has #news, which asks for the rows, #list with tr[data-row], and #fresh.
"use strict";

const LEAVES_IN = 120;

function merge(text) {
  const news = new DOMParser().parseFromString(text, "text/html");
  const list = document.getElementById("list");
  const fresh = news.getElementById("list");
  const tabs = document.getElementById("tabs");
  if (tabs) Idiomorph.morph(tabs, news.getElementById("tabs"));
  const there = new Map([...fresh.querySelectorAll("tr[data-row]")].map((row) => [row.dataset.row, row]));
  const shown = [...list.querySelectorAll("tr[data-row]")];
  for (const row of shown) {
    const now = there.get(row.dataset.row);
    there.delete(row.dataset.row);
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
  setTimeout(() => {
    row.remove();
    dispatchEvent(new Event("rows:moved"));
  }, LEAVES_IN);
}

function offer(many) {
  const link = document.getElementById("fresh");
  link.hidden = !many;
  link.textContent = many ? `${many} new ${many === 1 ? link.dataset.one : link.dataset.many} — show` : "";
}

addEventListener("htmx:afterRequest", (event) => {
  if (event.target.id === "news" && event.detail.successful) merge(event.detail.xhr.responseText);
});
