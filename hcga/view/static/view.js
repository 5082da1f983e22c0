"use strict";
// Sliders: how the strips look; kept in the address, and in links to what follows.
function keep(address, slider) {
  const kept = new URL(address);
  kept.searchParams.set(slider.name, slider.value);
  return kept.href;
}
for (const slider of document.querySelectorAll("[data-look]")) {
  slider.addEventListener("input", () => {
    document.querySelector("[data-looks]").style.setProperty(`--${slider.name}`, slider.value);
    history.replaceState(null, "", keep(location.href, slider));
    for (const link of document.querySelectorAll("a[data-key]")) link.href = keep(link.href, slider);
  });
}
// Other revisions to choose from: asked for once the page stands, as they take a while to list.
addEventListener("load", async () => {
  const places = document.getElementById("places");
  if (!document.querySelector('[list="places"]') || !places.dataset.round) return;
  const known = new Set([...places.children].map((option) => option.value.split(":").slice(0, -1).join(":")));
  const answer = await fetch("/revisions");
  if (!answer.ok) return;
  for (const name of (await answer.json()).filter((one) => !known.has(one))) {
    places.append(new Option("", `${name}:${places.dataset.round}`));
  }
});
// Arrow keys: links that name a key, and the rows of an identity.
document.addEventListener("keydown", (event) => {
  if (event.target.closest("input, select") || event.altKey || event.ctrlKey || event.metaKey) return;
  const link = document.querySelector(`a[data-key="${event.key}"]`);
  if (link) { event.preventDefault(); if (!event.repeat) link.click(); return; } // a key held down moves on once
  const rows = [...document.querySelectorAll("[data-row]")];
  if (rows.length && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
    event.preventDefault();
    const here = rows.indexOf(document.activeElement);
    const next = rows[Math.min(rows.length - 1, Math.max(0, here + (event.key === "ArrowDown" ? 1 : -1)))];
    next.focus();
    next.scrollIntoView({ block: "center" });
  }
});
