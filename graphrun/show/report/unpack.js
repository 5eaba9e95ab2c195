// Unpacks the script of the page and runs it; the policy allows that one alone, by its hash.
// Whoever shows it in a frame tells it what theme is around it, which may be before it is unpacked.
addEventListener("message", ({ source, data: theme }) => {
  if (source === window.parent && ["light", "dark"].includes(theme)) document.documentElement.dataset.around = theme;
});
(async () => {
  const packed = Uint8Array.from(atob(document.getElementById("packed").textContent), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  const script = document.createElement("script");
  script.textContent = await new Response(stream).text();
  document.body.append(script);
})().catch((error) => {
  const place = document.getElementById("failure");
  place.textContent = `This browser cannot unpack the page's script: ${error.message}`;
  place.hidden = false;
});
