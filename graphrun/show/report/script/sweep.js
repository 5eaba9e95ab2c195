// The page of a sweep: its runs as lines through their settings, as dots, as curves and in a table. They are numbered by
// their place, the best one first; what is kept on one axis is kept in all views.

const { runs, settings, courses, compared } = data;
const PAD = { left: 62, right: 40, top: 34, bottom: 18 }, HEIGHT = 300, APART = 110, SLICE = 150, MOST_OF_TICK = 14, MOST_CHOSEN = 8, BLOCK = 200, NEAR = 14, LETTER = 7.7;
const TONES = ["accent", "gradient", "edge"], GRADES = 5;
const all = [...runs.number.keys()];
const hasValue = (k) => Boolean(runs.hasValue[k]);
const valued = all.filter(hasValue).length;
const gradeOf = (k) => (hasValue(k) ? Math.floor((GRADES * k) / valued) : GRADES - 1);
const nameOfRun = (k) => `run ${whole(runs.number[k])}`;
const resultOf = (k) => (hasValue(k) ? format(runs.objective[k], 6) : "none");
const page = { chosen: [], pointed: null, sort: null, shown: BLOCK, inside: null, curve: null };
const goToStep = () => {}, stop = () => {};

// Axes ------------------------------------------------------------------------------------------------------------

// Where a value lies between the ends of an axis, and back.
function makeAxis({ name, values, choices, log: isLog }, isResult = false) {
  const known = values.filter((x) => x !== null), size = choices?.length;
  const low = known.reduce((a, b) => Math.min(a, b), Infinity), high = known.reduce((a, b) => Math.max(a, b), -Infinity);
  const scaled = isLog ? Math.log10 : (x) => x;
  const share = (x) => (choices ? (x + 0.5) / size : low === high ? 0.5 : (scaled(x) / 2 - scaled(low) / 2) / (scaled(high) / 2 - scaled(low) / 2));
  const inverse = (s) => (isLog ? 10 ** (scaled(low) + s * (scaled(high) - scaled(low))) : low + s * (high - low));
  const say = (s) => (!known.length ? "none" : choices ? choices[Math.max(0, Math.min(size - 1, Math.floor(s * size)))] : format(inverse(s), 4));
  const each = Math.ceil(size / 12);
  const ticks = choices ? choices.map((text, k) => [k, text]).filter((_, k) => k % each === 0)
    : !known.length ? [] : low === high ? [[low, format(low, 4)]] : (isLog ? powersBetween(low, high) : ticksBetween(low, high, 5)).map((x) => [x, format(x, 4)]);
  const text = (k) => (values[k] === null ? "none" : choices ? choices[values[k]] : format(values[k], 6));
  return { name, isResult, share, say, text, step: choices ? 1 / size : 0.05, ticks: ticks.map(([x, told]) => [share(x), told]),
    values, shares: values.map((x) => (x === null ? -0.1 : share(x))), kept: [0, 1], lacks: known.length < values.length };
}

const isWide = (numbers) => numbers.length > 0 && Math.min(...numbers) > 0 && Math.max(...numbers) >= 100 * Math.min(...numbers);
const results = all.map((k) => (hasValue(k) ? runs.objective[k] : null));
const result = makeAxis({ name: compared, values: results, log: isWide(results.filter((x) => x !== null)) }, true);
const axes = [...settings.map((setting) => makeAxis(setting)), result];
const isBrushed = (axis) => axis.kept[0] > 0 || axis.kept[1] < 1;
const shortened = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);

function keep(axis, low, high) {
  axis.kept = [Math.max(0, Math.min(low, high)), Math.min(1, Math.max(low, high))];
  showSoon();
}

// Each run a line -------------------------------------------------------------------------------------------------

const lines = draw("g", { class: all.length > 200 ? "lines many" : "lines" }), span = HEIGHT - PAD.top - PAD.bottom;
const downTo = (share) => PAD.top + (1 - share) * span;
let across = [];

function buildParallel() {
  // The texts at the first axis fit on its left; names of neighbours stand in two rows where they are near.
  const left = Math.max(PAD.left, 16 + LETTER * Math.max(0, ...axes[0].ticks.map(([, text]) => shortened(text, MOST_OF_TICK).length)));
  const width = Math.max(byId("parallel").clientWidth, left + PAD.right + (axes.length - 1) * APART);
  const gap = (width - left - PAD.right) / (axes.length - 1), isNear = gap < 150, half = isNear ? gap : gap / 2;
  across = axes.map((_, k) => left + k * gap);
  const svg = draw("svg", { width, height: HEIGHT + 12, role: "group", "aria-label": "Settings and objective of each run" }, lines);
  svg.append(...axes.map((axis, k) => buildAxis(axis, across[k], k % 2 && isNear ? 26 : 12, half + Math.min(half, k === 0 ? left : axis.isResult ? PAD.right : half))));
  svg.addEventListener("pointermove", (event) => point(runNear(event)));
  svg.addEventListener("pointerleave", () => point(null));
  svg.addEventListener("click", (event) => { const near = runNear(event); if (near !== null) choose(near); });
  byId("parallel").replaceChildren(svg);
}

function buildAxis(axis, x, top, room) {
  const hit = draw("rect", { class: "hit", x: x - 16, y: PAD.top - 6, width: 32, height: span + 12 });
  const range = draw("rect", { class: "range", x: x - 5, width: 10 });
  const ends = [0, 1].map((which) => draw("rect", { class: "end", x: x - 8, width: 16, height: 6, rx: 2, tabindex: 0, role: "slider", "aria-orientation": "vertical",
    "aria-label": `${axis.name}, ${which ? "at most" : "at least"}`, "aria-valuemin": 0, "aria-valuemax": 100 }));
  axis.show = () => {
    const [low, high] = axis.kept;
    for (const [name, value] of [["y", downTo(high)], ["height", (high - low) * span]]) range.setAttribute(name, value);
    range.setAttribute("visibility", isBrushed(axis) ? "visible" : "hidden");
    ends.forEach((end, which) => {
      end.setAttribute("y", downTo(axis.kept[which]) - (which ? 6 : 0));
      end.setAttribute("aria-valuenow", Math.round(100 * axis.kept[which]));
      end.setAttribute("aria-valuetext", axis.say(axis.kept[which] - (which ? 1e-9 : 0)));
    });
  };
  let from = null;
  const shareAt = (event) => 1 - (event.clientY - hit.ownerSVGElement.getBoundingClientRect().top - PAD.top) / span;
  for (const target of [hit, ...ends]) {
    target.addEventListener("pointerdown", (event) => {
      const which = ends.indexOf(target);
      from = which < 0 ? shareAt(event) : axis.kept[1 - which];
      target.setPointerCapture(event.pointerId);
    });
    target.addEventListener("pointermove", (event) => { if (from !== null) keep(axis, from, shareAt(event)); });
    target.addEventListener("pointerup", (event) => {
      if (target === hit && from !== null && Math.abs(from - shareAt(event)) * span < 4) keep(axis, 0, 1);
      from = null;
    });
    target.addEventListener("click", (event) => event.stopPropagation());
  }
  ends.forEach((end, which) => end.addEventListener("keydown", (event) => {
    const { key } = event;
    const to = { ArrowUp: axis.kept[which] + axis.step, ArrowRight: axis.kept[which] + axis.step, ArrowDown: axis.kept[which] - axis.step, ArrowLeft: axis.kept[which] - axis.step, Home: 0, End: 1 }[key];
    if (to === undefined && key !== "Escape") return;
    event.preventDefault();
    if (key === "Escape") return keep(axis, 0, 1);
    const other = axis.kept[1 - which], rounded = Math.round(to * 1e6) / 1e6;
    return keep(axis, ...(which ? [other, Math.max(rounded, other)] : [Math.min(rounded, other), other]));
  }));
  const ticks = axis.ticks.map(([share, text]) => draw("text", { class: "tick", x: x - 10, y: downTo(share) }, shortened(text, MOST_OF_TICK)));
  if (axis.lacks) ticks.push(draw("text", { class: "tick", x: x - 10, y: downTo(-0.1) }, "none"));
  const told = shortened(axis.name, Math.max(Math.floor(room / LETTER), 12));
  const name = draw("text", { class: "name", x: axis.isResult ? x + PAD.right - 4 : Math.max(x, 2 + LETTER * told.length / 2), y: top }, told);
  name.append(draw("title", {}, axis.name));
  return draw("g", { class: "axis" }, draw("line", { x1: x, x2: x, y1: PAD.top, y2: PAD.top + span }), hit, range, ...ends, ...ticks, name);
}

const pathOf = (k) => axes.map((axis, at) => `${at ? "L" : "M"}${across[at].toFixed(1)} ${downTo(axis.shares[k]).toFixed(1)}`).join("");
const groupsOf = (inside) => [["off", all.filter((k) => !inside[k])], ...Array.from({ length: GRADES }, (_, at) => GRADES - 1 - at).map((grade) => [`rank-${grade}`, all.filter((k) => inside[k] && gradeOf(k) === grade)])];
const toneOf = (at) => ({ class: `chosen ${TONES[at % TONES.length]}`, "stroke-dasharray": DASHES[at % 4] });

function showLines() {
  lines.replaceChildren(...groupsOf(page.inside).map(([name, ks]) => draw("path", { class: name, d: ks.map(pathOf).join("") })),
    ...page.chosen.map((k, at) => draw("path", { ...toneOf(at), d: pathOf(k) })));
}

// The run whose line passes by a place.
function runNear(event) {
  const box = lines.ownerSVGElement.getBoundingClientRect(), x = event.clientX - box.left, y = event.clientY - box.top;
  const at = Math.max(0, Math.min(axes.length - 2, across.findLastIndex((left) => left <= x)));
  const along = (x - across[at]) / (across[at + 1] - across[at]);
  return nearest((k) => Math.abs(downTo(axes[at].shares[k] + along * (axes[at + 1].shares[k] - axes[at].shares[k])) - y));
}

function nearest(distance) {
  let best = null, least = NEAR;
  for (const k of all) {
    const far = page.inside[k] ? distance(k) : Infinity;
    if (far < least) [best, least] = [k, far];
  }
  return best;
}

function point(k) {
  if (page.pointed === k) return;
  page.pointed = k;
  for (const [host, path] of [[lines, k === null ? "" : pathOf(k)], ...slices.map((slice) => [slice.dots, k === null ? "" : slice.dot(k)])]) {
    host.querySelector(".pointed")?.remove();
    if (path) host.append(draw("path", { class: "pointed", d: path }));
  }
  put(byId("pointed"), k === null ? "" : `${nameOfRun(k)}: ${resultOf(k)}`);
}

// Dots ------------------------------------------------------------------------------------------------------------

const slices = [];

function buildSlices() {
  slices.length = 0;
  const order = [...settings.keys()].sort((a, b) => (settings[b].importance ?? -1) - (settings[a].importance ?? -1));
  const cards = order.map((at) => {
    const axis = axes[at], dots = draw("g", { class: "dots" });
    const host = make("div", { role: "img", "aria-label": `${compared} by ${axis.name}, a dot for each run` });
    return [axis, dots, host, make("div", { class: "slice" }, make("h3", {}, isolated(axis.name)), host)];
  });
  byId("slices").replaceChildren(...cards.map(([, , , card]) => card));
  const width = Math.max(cards[0]?.[2].clientWidth ?? 0, 160);
  for (const [axis, dots, host] of cards) {
    const left = PAD.left + 6, right = width - 14, top = 10, bottom = SLICE - 22;
    const x = (share) => left + share * (right - left), y = (share) => bottom - Math.max(share, -0.06) * (bottom - top);
    const every = Math.ceil(axis.ticks.length / Math.max(2, Math.floor((right - left) / 60)));
    const labels = [...result.ticks.map(([share, text]) => draw("text", { class: "side", x: left - 12, y: y(share) }, text)),
      ...axis.ticks.filter((_, k) => k % every === 0).map(([share, text]) => draw("text", { class: "below", x: x(share), y: SLICE - 4 }, shortened(text, 10)))];
    const over = draw("rect", { class: "over", x: left - 8, y: 0, width: right - left + 16, height: bottom + 8 });
    const near = (event) => {
      const box = over.ownerSVGElement.getBoundingClientRect();
      return nearest((k) => Math.hypot(x(axis.shares[k]) - event.clientX + box.left, y(result.shares[k]) - event.clientY + box.top));
    };
    over.addEventListener("pointermove", (event) => point(near(event)));
    over.addEventListener("pointerleave", () => point(null));
    over.addEventListener("click", (event) => { const k = near(event); if (k !== null) choose(k); });
    host.append(draw("svg", { width, height: SLICE }, draw("g", { class: "axis" }, draw("line", { x1: left - 8, x2: right, y1: bottom + 6, y2: bottom + 6 }), ...labels), dots, over));
    slices.push({ dots, dot: (k) => `M${x(axis.shares[k]).toFixed(1)} ${y(result.shares[k]).toFixed(1)}h0` });
  }
}

function showSlices() {
  for (const { dots, dot } of slices) {
    dots.replaceChildren(...groupsOf(page.inside).map(([name, ks]) => draw("path", { class: name, d: ks.map(dot).join("") })),
      ...page.chosen.map((k, at) => draw("path", { class: toneOf(at).class, d: dot(k) })));
  }
}

// Curves ----------------------------------------------------------------------------------------------------------

function choose(k) {
  if (page.chosen.includes(k)) page.chosen = page.chosen.filter((other) => other !== k);
  else page.chosen = [...page.chosen, k].slice(-MOST_CHOSEN);
  showSoon();
}

function showCurves() {
  const name = byId("recorded").selectedIndex;
  const found = page.chosen.filter((k) => courses[k]?.[1 + name]).map((k) => ({ k, steps: data.steps[courses[k][0]], column: courses[k][1 + name].map((x) => (x === null ? NaN : Number(x))) }));
  const xs = [...new Set(found.flatMap(({ steps }) => steps))].sort((a, b) => a - b);
  const columns = found.map(({ steps, column }) => onSteps(xs, steps, column));
  page.curve?.destroy();
  const say = (index) => put(byId("curves-text"), index === null ? (found.length ? "" : data.recorded.length ? "No run is chosen that has a curve." : "No curves were kept.")
    : `step ${whole(xs[index])}: ${found.map(({ k }, at) => `${nameOfRun(k)} ${columns[at][index] === null ? "–" : format(columns[at][index])}`).join(", ")}`);
  const tones = found.map(({ k }) => TONES[page.chosen.indexOf(k) % TONES.length]);
  const isPositive = columns.every((column) => column.every((x) => x === null || !Number.isFinite(x) || x > 0));
  page.curve = found.length ? plot(byId("curves-body"), xs, columns, 240, say, { tones, dashes: found.map(({ k }) => DASHES[page.chosen.indexOf(k) % 4]), isLog: byId("log").checked && isPositive }) : null;
  byId("curves-body").setAttribute("aria-label", found.length ? `Curves of ${data.recorded[name]}: ${found.map(({ k, column }) => `${nameOfRun(k)} from ${format(column[0])} to ${format(column.at(-1))}`).join(", ")}` : "No curves");
  say(null);
  const focused = [...byId("chosen").children].findIndex((item) => item.contains(document.activeElement));
  byId("chosen").replaceChildren(...page.chosen.map((k, at) => {
    const button = make("button", { type: "button", "aria-label": `No longer ${nameOfRun(k)}, ${compared} ${resultOf(k)}` },
      draw("svg", { width: 26, height: 8, "aria-hidden": "true" }, draw("path", { ...toneOf(at), d: "M0 4H26" })), `${nameOfRun(k)}: ${resultOf(k)} ×`);
    button.addEventListener("click", () => choose(k));
    return make("li", {}, button);
  }));
  if (focused >= 0) byId("chosen").children[Math.min(focused, page.chosen.length - 1)]?.firstChild.focus();
  for (const [k, box] of boxes) box.checked = page.chosen.includes(k);
}

// Tables ----------------------------------------------------------------------------------------------------------

function buildMatters() {
  const order = settings.filter(({ importance }) => importance !== null).sort((a, b) => b.importance - a.importance);
  const rows = order.map(({ name, importance }) => make("tr", {}, make("td", {}, isolated(name)),
    make("td", {}, make("meter", { min: 0, max: 1, value: importance, "aria-label": name })), make("td", {}, `${Math.round(100 * importance)} %`)));
  const heads = ["setting", "share of the objective's variance that it explains by itself", ""].map((text) => make("th", { scope: "col", class: "left" }, text));
  byId("matters-body").replaceChildren(rows.length ? make("table", {}, make("thead", {}, make("tr", {}, ...heads)), make("tbody", {}, ...rows)) : make("p", { class: "faint" }, "There are too few runs to say."));
}

const texts = (column) => column.map((text) => text ?? "");
const columns = [
  { name: "run", text: (k) => `${whole(runs.number[k])}${k === 0 && hasValue(0) ? " best" : ""}`, by: runs.number },
  ...settings.map((setting, at) => ({ name: setting.name, text: axes[at].text, by: setting.values, isText: Boolean(setting.choices) })),
  { name: compared, text: resultOf, by: results },
  { name: "seconds", text: (k) => format(runs.seconds[k], 3), by: runs.seconds },
  { name: "steps", text: (k) => (runs.steps[k] === null ? "–" : whole(runs.steps[k])), by: runs.steps },
  { name: "seed", text: (k) => (runs.seed[k] === null ? "–" : String(runs.seed[k])), by: runs.seed },
  { name: "stopped", text: (k) => runs.stopped[k], by: texts(runs.stopped), isText: true },
];

const tableHead = make("tr", {}, make("th", { scope: "col" }, "curve"), ...columns.map((column) => {
  const button = make("button", { type: "button" }, isolated(column.name), make("span", { "aria-hidden": "true" }));
  button.addEventListener("click", () => {
    page.sort = { column, isDown: page.sort?.column === column && !page.sort.isDown };
    showTable();
  });
  column.head = make("th", { scope: "col", class: column.isText ? "text" : "" }, button);
  return column.head;
})), tableBody = make("tbody"), boxes = new Map();

function showTable() {
  const found = all.filter((k) => page.inside[k]);
  if (page.sort) {
    const { column: { by }, isDown } = page.sort, sign = isDown ? -1 : 1;
    found.sort((a, b) => sign * (by[a] === by[b] ? a - b : by[a] === null ? 1 : by[b] === null ? -1 : by[a] < by[b] ? -1 : 1));
  }
  for (const column of columns) {
    const way = page.sort?.column === column ? (page.sort.isDown ? "descending" : "ascending") : null;
    if (way) column.head.setAttribute("aria-sort", way);
    else column.head.removeAttribute("aria-sort");
    put(column.head.querySelector("span"), way ? (page.sort.isDown ? " ↓" : " ↑") : "");
  }
  boxes.clear();
  tableBody.replaceChildren(...found.slice(0, page.shown).map((k) => {
    const box = make("input", { type: "checkbox", "aria-label": `curve of ${nameOfRun(k)}` });
    box.checked = page.chosen.includes(k);
    box.addEventListener("change", () => choose(k));
    boxes.set(k, box);
    const row = make("tr", { class: k === 0 && hasValue(0) ? "best" : "" }, make("td", {}, box),
      ...columns.map((column) => make("td", { class: column.isText ? "text" : "" }, column.isText ? isolated(column.text(k)) : column.text(k))));
    row.addEventListener("pointerenter", () => point(k));
    return row;
  }));
  byId("more-runs").hidden = found.length <= page.shown;
  put(byId("more-runs"), `Show ${whole(Math.min(BLOCK, found.length - page.shown))} of ${whole(found.length - page.shown)} more`);
}

// The page --------------------------------------------------------------------------------------------------------

function show() {
  axes.forEach((axis) => axis.show?.());
  const held = axes.filter(isBrushed), before = String(page.inside);
  page.inside = all.map((k) => held.every(({ kept: [low, high], shares }) => shares[k] >= low - 1e-9 && shares[k] <= high + 1e-9));
  showLines();
  showSlices();
  // What has the focus stays where it is.
  if (before !== String(page.inside)) showTable();
  showCurves();
  put(byId("kept"), `${whole(page.inside.filter(Boolean).length)} of ${whole(all.length)} runs`);
  byId("all").disabled = !held.length;
}

let isPending = false;

function showSoon() {
  if (isPending) return;
  isPending = true;
  requestAnimationFrame(() => { isPending = false; show(); });
}

function start() {
  watchTheme();
  document.title = `${data.title} — graphrun sweep`;
  put(byId("title"), data.title);
  const best = all.length && hasValue(0);
  byId("description").replaceChildren(data.maximize ? "maximize " : "minimize ", isolated(compared), best ? `: ${resultOf(0)} at best, ${nameOfRun(0)}` : ": no run has a value of it");
  const parts = [[`${whole(data.done)} of ${whole(data.total)} runs`], ...(all.length < data.done ? [[`the best ${whole(all.length)} are shown`]] : []),
    ...(valued < all.length ? [[`${whole(all.length - valued)} without a value`]] : []), ...(best ? settings.map(({ name }, at) => [isolated(name), ` = ${axes[at].text(0)}`]) : [])];
  byId("summary").replaceChildren(...parts.flatMap((part, k) => (k ? [" · ", ...part] : part)));
  byId("recorded").append(...data.recorded.map((name) => make("option", {}, name)));
  byId("recorded").selectedIndex = Math.max(0, data.recorded.indexOf(compared));
  byId("recorded-label").hidden = data.recorded.length < 2;
  page.chosen = all.filter((k) => hasValue(k) && courses[k]).slice(0, 3);
  byId("recorded").addEventListener("change", showCurves);
  byId("log").addEventListener("change", showCurves);
  byId("all").addEventListener("click", () => { axes.forEach((axis) => { axis.kept = [0, 1]; }); showSoon(); });
  byId("more-runs").addEventListener("click", () => { page.shown += BLOCK; showTable(); });
  byId("runs-body").append(make("table", {}, make("thead", {}, tableHead), tableBody));
  byId("runs-body").addEventListener("pointerleave", () => point(null));
  buildMatters();
  let width = null;
  new ResizeObserver(([{ contentRect }]) => {
    if (width === contentRect.width) return;
    width = contentRect.width;
    buildParallel();
    buildSlices();
    show();
  }).observe(byId("parallel"));
}

start();
