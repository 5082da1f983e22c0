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
  slider.addEventListener("change", () => { // arrow keys are the page's again, but for who came here by keys
    if (!slider.matches(":focus-visible")) slider.blur();
  });
}
// Known places to choose from, beside each field for one.
const places = document.getElementById("places");
const choices = [...document.querySelectorAll("[data-place]")].map((field) => {
  const choice = places.cloneNode(true);
  choice.removeAttribute("id");
  choice.hidden = false;
  choice.addEventListener("change", () => {
    field.value = choice.value;
    choice.selectedIndex = 0;
    field.focus();
  });
  field.after(choice);
  return choice;
});
// Other revisions: asked for once the page stands, as they take a while to list. Without a round it is their last one.
addEventListener("load", async () => {
  if (!choices.length) return;
  const known = new Set([...places.options].map((option) => option.value.split(":").slice(0, -1).join(":")));
  const answer = await fetch("/revisions");
  if (!answer.ok) return;
  const round = places.dataset.round ? `:${places.dataset.round}` : "";
  for (const name of (await answer.json()).filter((one) => !known.has(one))) {
    for (const choice of choices) choice.add(new Option(name + round));
  }
});
// Rows of an identity: the address says which one has the focus, so that the next identity opens at the same.
const rows = [...document.querySelectorAll("[data-row]")];
for (const [number, row] of rows.entries()) {
  row.addEventListener("focus", () => {
    history.replaceState(null, "", `#${number + 1}`);
    for (const link of document.querySelectorAll("a[data-key]")) link.hash = number + 1;
  });
}
const height = sessionStorage.getItem("height"); // of the page from which a key led here
sessionStorage.removeItem("height");
rows[location.hash.slice(1) - 1]?.focus({ preventScroll: height !== null });
if (height !== null) scrollTo(0, height);
// Arrow keys: links that name a key, and the rows of an identity.
document.addEventListener("keydown", (event) => {
  if (event.target.closest("input, select") || event.altKey || event.ctrlKey || event.metaKey) return;
  const link = document.querySelector(`a[data-key="${event.key}"]`);
  if (link) {
    event.preventDefault();
    if (event.repeat) return; // a key held down moves on once
    sessionStorage.setItem("height", scrollY);
    link.click();
    return;
  }
  if (rows.length && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
    event.preventDefault();
    const here = rows.indexOf(document.activeElement);
    const next = rows[Math.min(rows.length - 1, Math.max(0, here + (event.key === "ArrowDown" ? 1 : -1)))];
    next.focus();
    next.scrollIntoView({ block: "center" });
  }
});
