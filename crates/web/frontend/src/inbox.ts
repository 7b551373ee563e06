// A list that is gone through by keys. They work while somebody is in the list, and nowhere else: who dictates, or types elsewhere, starts nothing.

const KEYS = new Set(["j", "k", "x", "a"]);

export function inbox(): void {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || !KEYS.has(event.key)) return;
    const list = event.target instanceof Element ? event.target.closest<HTMLElement>("[data-keys]") : null;
    if (!list) return;
    const rows = [...list.querySelectorAll<HTMLElement>("tbody tr")];
    const here = rows.findIndex((row) => row.contains(document.activeElement));
    event.preventDefault();
    if (event.key === "a") {
      document.querySelector<HTMLElement>("#many button[name=proposal]")?.focus();
      return;
    }
    if (event.key === "x") {
      rows[Math.max(here, 0)]?.querySelector<HTMLInputElement>("input[type=checkbox]")?.click();
      if (here >= 0) return;
    }
    const next = event.key === "k" ? Math.max(here - 1, 0) : event.key === "j" ? Math.min(here + 1, rows.length - 1) : 0;
    rows[next]?.querySelector<HTMLElement>("th a")?.focus();
  });
}
