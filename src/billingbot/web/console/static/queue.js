// The queue: several cases are chosen and taken at once, by hand or by key. Its rows update themselves (rows.js).
"use strict";

function count() {
  const chosen = document.querySelectorAll("#bulk input[name=case]:checked").length;
  for (const button of document.querySelectorAll("[data-bulk]")) {
    button.disabled = !chosen;
    button.firstChild.textContent = chosen ? `${button.dataset.bulk} ${chosen} ` : `${button.dataset.bulk} `;
  }
}

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
addEventListener("rows:moved", count);
