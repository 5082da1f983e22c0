"use strict";
// Opacity of what lies over the images; it is kept in the address.
const slider = document.querySelector("[data-opacity]");
if (slider) {
  slider.addEventListener("input", () => {
    document.querySelector(".strips").style.setProperty("--opacity", `${slider.value}%`);
    const address = new URL(location.href);
    address.searchParams.set("opacity", slider.value);
    history.replaceState(null, "", address);
    for (const link of document.querySelectorAll("a[data-key]")) {
      const target = new URL(link.href);
      target.searchParams.set("opacity", slider.value);
      link.href = target.href;
    }
  });
}
// A list in a text field, one a line, goes into the address as a parameter each.
for (const list of document.querySelectorAll("[data-list]")) {
  list.form.addEventListener("submit", (event) => {
    event.preventDefault();
    const fields = new URLSearchParams(new FormData(list.form));
    fields.delete(list.name);
    for (const line of list.value.split("\n").map((text) => text.trim()).filter(Boolean)) fields.append(list.dataset.list, line);
    if (slider) fields.set("opacity", slider.value);
    location.search = fields.toString();
  });
}
// Arrow keys: links that name a key, and the rows of an identity.
document.addEventListener("keydown", (event) => {
  if (event.target.closest("input, textarea, select") || event.altKey || event.ctrlKey || event.metaKey) return;
  const link = document.querySelector(`a[data-key="${event.key}"]`);
  if (link) { event.preventDefault(); link.click(); return; }
  const rows = [...document.querySelectorAll("[data-row]")];
  if (rows.length && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
    event.preventDefault();
    const here = rows.indexOf(document.activeElement);
    const next = rows[Math.min(rows.length - 1, Math.max(0, here + (event.key === "ArrowDown" ? 1 : -1)))];
    next.focus();
    next.scrollIntoView({ block: "center" });
  }
});
