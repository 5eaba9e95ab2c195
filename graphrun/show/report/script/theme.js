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
  // What is around a frame, as what unpacks the page was told, comes before what the system has.
  const choose = () => setTheme(document.documentElement.dataset.around ?? (dark.matches ? "dark" : "light"));
  choose();
  dark.addEventListener("change", choose);
  addEventListener("message", ({ source }) => source === window.parent && choose());
  byId("theme").addEventListener("click", () =>
    setTheme(document.documentElement.getAttribute("data-theme") === "dark" ? "light" : "dark"));
  byId("help-button").addEventListener("click", () => {
    const help = byId("help");
    help.hidden = !help.hidden;
    byId("help-button").setAttribute("aria-expanded", String(!help.hidden));
  });
}
