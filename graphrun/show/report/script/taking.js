// Taking away: what is shown as SVG or PNG, the passes as an animation, and what is set up as a link.

// Pictures ---------------------------------------------------------------------------------------------------------

const CAPTION = 20, SLOWEST = 1.6, MOST_FRAMES = 150;
const SHAPES = { rect: ["x", "y", "width", "height", "rx"], path: ["d"], line: ["x1", "y1", "x2", "y2"], circle: ["cx", "cy", "r"] };
const ruler = make("canvas").getContext("2d");
const isSeen = (paint) => paint !== "none" && !/^rgba\(.*, 0\)$/.test(paint);

// Every shape and word of an SVG with the looks that it has here, so that it has them anywhere.
function itemsOf(svg) {
  const base = svg.getScreenCTM().inverse(), items = [];
  for (const part of svg.querySelectorAll("rect, path, line, circle, text")) {
    const style = getComputedStyle(part);
    const look = { fill: isSeen(style.fill) ? style.fill : "none", stroke: isSeen(style.stroke) ? style.stroke : "none" };
    if ((look.fill === "none" && look.stroke === "none") || style.visibility === "hidden" || part.closest(".folder") || part.matches(".near-by, .cursor")) continue;
    if (look.stroke !== "none") Object.assign(look, { "stroke-width": parseFloat(style.strokeWidth), "stroke-dasharray": style.strokeDasharray.replace(/px/g, ""), "stroke-linejoin": style.strokeLinejoin });
    if (style.fillOpacity !== "1") look["fill-opacity"] = style.fillOpacity;
    const { a, b, c, d, e, f } = base.multiply(part.getScreenCTM());
    const moves = { look, matrix: [a, b, c, d, e, f].map((x) => Math.round(x * 1e3) / 1e3) };
    if (part.tagName !== "text") {
      const own = SHAPES[part.tagName].filter((name) => part.hasAttribute(name)).map((name) => [name, part.getAttribute(name)]);
      if (part.getAttribute("width") !== "0") items.push({ ...moves, tag: part.tagName, own: Object.fromEntries(own) });
      continue;
    }
    // Each run of letters stands where it stands: not every program knows anchors and baselines.
    let at = 0;
    for (const run of part.childNodes) {
      const text = run.textContent, runStyle = run.nodeType === Node.ELEMENT_NODE ? getComputedStyle(run) : style;
      if (!text.trim()) { at += text.length; continue; }
      const { x } = part.getStartPositionOfChar(at), { y, height } = part.getExtentOfChar(at);
      ruler.font = `${runStyle.fontWeight} ${runStyle.fontSize} ${runStyle.fontFamily}`;
      const { fontBoundingBoxAscent: up, fontBoundingBoxDescent: down } = ruler.measureText("x");
      const font = { "font-size": parseFloat(runStyle.fontSize), "font-weight": runStyle.fontWeight, "font-family": runStyle.fontFamily };
      items.push({ ...moves, tag: "text", text, own: { x: x.toFixed(1), y: (y + (height * up) / (up + down)).toFixed(1) }, look: { ...look, fill: runStyle.fill, ...font, "paint-order": style.paintOrder } });
      at += text.length;
    }
  }
  return items;
}

const elementOf = ({ tag, own, look, matrix, text }) => {
  const place = matrix.join() === "1,0,0,1,0,0" ? {} : { transform: `matrix(${matrix.join(" ")})` };
  return draw(tag, { ...own, ...look, ...place }, ...(text === undefined ? [] : [text]));
};

const paper = (width, height) => ({ tag: "rect", own: { width, height }, look: { fill: colour("card"), stroke: "none" }, matrix: [1, 0, 0, 1, 0, 0] });

function svgOf(width, height, millimetres, ...content) {
  const size = millimetres ? { width: `${millimetres}mm`, height: `${((millimetres * height) / width).toFixed(2)}mm` } : { width, height };
  return new XMLSerializer().serializeToString(draw("svg", { viewBox: `0 0 ${width} ${height}`, ...size }, draw("title", {}, data.title), ...content));
}

// Drawn by the page itself: no image has to be loaded, so that the policy need not allow any.
function paint(context, { tag, own, look, matrix, text }, scale) {
  context.setTransform(...matrix.map((x) => x * scale));
  Object.assign(context, { fillStyle: look.fill, strokeStyle: look.stroke, lineWidth: look["stroke-width"] ?? 1, lineJoin: look["stroke-linejoin"] ?? "miter" });
  context.setLineDash((look["stroke-dasharray"] ?? "none") === "none" ? [] : look["stroke-dasharray"].split(/[ ,]+/).map(Number));
  context.globalAlpha = look["fill-opacity"] ?? 1;
  if (tag === "text") {
    context.font = `${look["font-weight"]} ${look["font-size"]}px ${look["font-family"]}`;
    if (look.stroke !== "none") context.strokeText(text, own.x, own.y);
    context.fillText(text, own.x, own.y);
    return;
  }
  const path = new Path2D(own.d ?? ""), { x = 0, y = 0, width, height, rx = 0 } = own;
  if (tag === "rect") path.roundRect(+x, +y, +width, +height, +rx);
  else if (tag === "circle") path.arc(+own.cx, +own.cy, +own.r, 0, 2 * Math.PI);
  else if (tag === "line") { path.moveTo(own.x1 ?? 0, own.y1 ?? 0); path.lineTo(own.x2 ?? 0, own.y2 ?? 0); }
  if (look.fill !== "none" && tag !== "line") context.fill(path);
  context.globalAlpha = 1;
  if (look.stroke !== "none") context.stroke(path);
}

function save(ending, content, type) {
  const link = make("a", { download: `${data.title.replace(/\.\w+$/, "").replace(/[^\w.-]+/g, "_") || "graph"}-step${stepAt(state.row)}${ending}` });
  link.href = URL.createObjectURL(new Blob([content], { type }));
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  put(byId("taken"), `Saved as ${link.download}.`);
}

function pictured() {
  const what = Number(byId("take-what").value), svg = what < 0 ? drawn.svg : charts[what].host.querySelector("svg");
  const [width, height] = what < 0 ? [drawn.width, drawn.height] : [svg.clientWidth || charts[what].plot.width, charts[what].height];
  return { items: [paper(width, height), ...itemsOf(svg)], width, height, millimetres: Number(byId("take-width").value), name: what < 0 ? "" : `-chart${what + 1}` };
}

function takeSvg() {
  const { items, width, height, millimetres, name } = pictured();
  save(`${name}.svg`, svgOf(width, height, millimetres, ...items.map(elementOf)), "image/svg+xml");
}

function takePng() {
  const { items, width, height, millimetres, name } = pictured();
  // On paper 300 dots an inch; on a screen two for each of its own.
  const scale = Math.min(millimetres ? ((millimetres / 25.4) * 300) / width : 2, 8000 / width, 8000 / height);
  const canvas = make("canvas", { width: Math.round(width * scale), height: Math.round(height * scale) });
  const context = canvas.getContext("2d");
  items.forEach((item) => paint(context, item, scale));
  canvas.toBlob((blob) => save(`${name}.png`, blob, "image/png"));
}

// The passes of this step, frame by frame, in one file that moves by itself.
function takePasses() {
  stop();
  if (moments.length > MOST_FRAMES) return put(byId("taken"), `${moments.length} frames are too many for one file; at most ${MOST_FRAMES} are.`);
  const { moment, pointed, line } = state, height = drawn.height + 3.4 * CAPTION;
  const family = getComputedStyle(document.body).fontFamily, total = moments.length * SLOWEST;
  Object.assign(state, { pointed: null, line: null });
  const frames = moments.map((_, k) => {
    state.moment = k;
    show();
    const told = [byId("story-title"), ...byId("story-lines").children].slice(0, 3).map((element) => element.textContent);
    const words = told.map((text, n) => ({ tag: "text", text: text.length > 100 ? `${text.slice(0, 99)}…` : text, matrix: [1, 0, 0, 1, 0, 0],
      own: { x: 12, y: (n + 1) * CAPTION }, look: { fill: colour(n ? "ink" : "faint"), "font-size": 14, "font-weight": n ? 400 : 600, "font-family": family } }));
    const [from, to] = [k, k + 1].map((n) => (n / moments.length).toFixed(5));
    return draw("g", { visibility: k ? "hidden" : "visible" },
      draw("animate", { attributeName: "visibility", calcMode: "discrete", dur: `${total}s`, repeatCount: "indefinite", ...(k ? { values: "hidden;visible;hidden", keyTimes: `0;${from};${to}` } : { values: "visible;hidden", keyTimes: `0;${to}` }) }),
      ...words.map(elementOf), draw("g", { transform: `translate(0 ${3.4 * CAPTION})` }, ...itemsOf(drawn.svg).map(elementOf)));
  });
  Object.assign(state, { moment, pointed, line });
  show();
  save("-passes.svg", svgOf(drawn.width, height, Number(byId("take-width").value), elementOf(paper(drawn.width, height)), ...frames), "image/svg+xml");
}

// Links ------------------------------------------------------------------------------------------------------------

const MOST_LETTERS = 30000;
const valueNamed = (name) => values.findIndex((entry) => entry.kind !== "literal" && entry.name === name);

function linkText() {
  const said = new URLSearchParams();
  const add = (key, value) => said.append(key, value);
  add("step", stepAt(state.row));
  add("moment", state.moment);
  add("selected", nameOf(state.selected));
  add("theme", document.documentElement.getAttribute("data-theme"));
  if (!state.fitted) add("zoom", state.zoom.toPrecision(4));
  if (scene.levels && view !== scene) (opened.size ? [...opened] : [""]).forEach((name) => add("open", name));
  if (state.course !== recorded) changesIn(add);
  sheetIn(add);
  return said.toString().replace(/%40/g, "@").replace(/%2C/g, ",");
}

// What the page changed, row by row: the rule where it becomes another one, and the leaves that were set.
function changesIn(add) {
  const own = live.rows.filter((row) => row.recorded === undefined);
  let rule = null;
  for (const row of own) {
    const at = row.step === stepAt(0) ? "" : `@${row.step}`;
    if (row.setup && row.setup !== rule && row.setup !== fileRule) {
      const { type, settings } = row.setup, usual = defaultsOf(type);
      add(`rule${at}`, type);
      for (const [name, value] of Object.entries(settings)) if (name === "step_size" || value !== usual[name]) add(`rule${at}.${name}`, value);
    }
    rule = row.setup;
    for (const slot of Object.keys(row.edited ?? {})) {
      const now = row.given[slot] ?? row.leaves[slot];
      if (typeof now === "number" || now.length <= 256) add(`set.${nameOf(slot)}${at}`, typeof now === "number" ? now : JSON.stringify(nestedOf([...now], shapeOf(slot))));
    }
  }
  add("until", live.total);
}

// Nothing in a link is trusted: what is no number, no name of this graph or not allowed here is left out, and told.
function applyLink(text) {
  const asked = new URLSearchParams(text.slice(0, MOST_LETTERS)), wrong = [];
  const attempt = (key, act) => { try { act(); } catch { wrong.push(key); } };
  const need = (isFine) => { if (!isFine) throw Error(); };
  const integer = (key, least, most) => { const x = Number(asked.get(key)); need(Number.isInteger(x) && x >= least && x <= most); return x; };
  const changes = [...new Set(asked.keys())].flatMap((key) => {
    const found = key.match(/^(?:(rule)|set\.(.+?))(?:@(\d{1,9}))?$/);
    return found ? [{ key, isRule: Boolean(found[1]), name: found[2], step: Number(found[3] ?? stepAt(0)) }] : [];
  }).sort((a, b) => a.step - b.step || b.isRule - a.isRule);
  const reach = (step) => { goToStep(step); if (stepAt(state.row) < step) graphrun.step(step - stepAt(state.row)); };
  for (const { key, isRule, name, step } of changes) {
    attempt(key, () => {
      const given = asked.get(key);
      need(model && window.graphrun && (isRule ? Object.hasOwn(model.rules, given) : valueNamed(name) >= 0));
      const number = isRule ? null : JSON.parse(given);
      const settings = [...asked].filter(([other]) => other.startsWith(`${key}.`)).map(([other, value]) => [other.slice(key.length + 1), JSON.parse(value)]);
      reach(step);
      if (!isRule) return graphrun.set(name, number);
      return graphrun.rule(given, Object.fromEntries(settings));
    });
  }
  if (changes.length && asked.has("until")) attempt("until", () => reach(integer("until", 0, 1e6)));
  const acts = {
    theme: (given) => { need(["light", "dark"].includes(given)); setTheme(given); },
    open: () => { need(scene.levels); setOpened(asked.getAll("open")); },
    step: () => goToStep(integer("step", 0, 1e9)),
    moment: () => goTo(state.row, integer("moment", 0, moments.length - 1)),
    selected: (given) => { need(valueNamed(given) >= 0); select(valueNamed(given), true); },
    zoom: (given) => { need(Number(given) > 0); zoomTo(Number(given)); },
    sheet: () => applySheet(asked, integer),
  };
  for (const [key, act] of Object.entries(acts)) if (asked.has(key)) attempt(key, () => act(asked.get(key)));
  put(byId("taken"), wrong.length ? `Of the link this does not apply here: ${wrong.join(", ")}.` : "");
  if (wrong.length) openTaking(true);
  showSoon();
}

function makeLink() {
  const text = linkText();
  try { window.history.replaceState(null, "", `#${text}`); } catch { /* A frame may have no address of its own. */ }
  byId("link").value = `${location.href.split("#")[0]}#${text}`;
}

function openTaking(isOpen) {
  byId("taking").hidden = !isOpen;
  byId("taking-button").setAttribute("aria-expanded", String(isOpen));
  if (!isOpen) return;
  byId("sheet-button").hidden = !questions({ kinds: Object.keys(KINDS), of: [] }).length;
  const names = [[-1, "the graph"], ...charts.map((chart, k) => [k, `the chart of ${chart.name}`])];
  byId("take-what").replaceChildren(...names.map(([value, name]) => make("option", { value }, name)));
  makeLink();
}

function watchTaking() {
  const press = (id, act) => byId(id).addEventListener("click", act);
  press("taking-button", () => openTaking(byId("taking").hidden));
  press("take-svg", takeSvg);
  press("take-png", takePng);
  press("take-passes", takePasses);
  press("take-link", () => {
    makeLink();
    byId("link").select();
    const copied = navigator.clipboard?.writeText(byId("link").value) ?? Promise.reject();
    copied.then(() => put(byId("taken"), "Copied."), () => put(byId("taken"), "The link is selected; copy it by the keyboard."));
  });
  byId("link").addEventListener("focus", makeLink);
  watchSheet();
  // On paper it is light.
  let theme = null;
  addEventListener("beforeprint", () => { theme = document.documentElement.getAttribute("data-theme"); setTheme("light"); });
  addEventListener("afterprint", () => { if (theme) setTheme(theme); });
  addEventListener("hashchange", () => applyLink(location.hash.slice(1)));
  if (location.hash.length > 1) applyLink(location.hash.slice(1));
}
