// Light and dark, and what the header has on every page.

let onTheme = () => {};

function setTheme(theme) {
  document.documentElement.setAttribute("data-theme", theme);
  byId("theme").setAttribute("aria-pressed", theme === "dark");
  onTheme();
}

function watchTheme(follow = onTheme) {
  onTheme = follow;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  setTheme(document.documentElement.dataset.around ?? (dark.matches ? "dark" : "light"));
  dark.addEventListener("change", () => setTheme(dark.matches ? "dark" : "light"));
  // Whoever shows it in a frame knows what is around it; what was told before is kept by what unpacks the page.
  addEventListener("message", ({ source, data: theme }) => {
    if (source === window.parent && ["light", "dark"].includes(theme)) setTheme(theme);
  });
  byId("theme").addEventListener("click", () =>
    setTheme(document.documentElement.getAttribute("data-theme") === "dark" ? "light" : "dark"));
  byId("help-button").addEventListener("click", () => {
    const help = byId("help");
    help.hidden = !help.hidden;
    byId("help-button").setAttribute("aria-expanded", String(!help.hidden));
  });
}
