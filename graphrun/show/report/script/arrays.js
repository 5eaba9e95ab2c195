// Arrays to look at: the elements of one as colours, how those of each parameter are spread over the steps, and how
// large the gradients are over the depth.

const BINS = 32, SHADES = 256, HIGHEST = 300, WIDEST_CELL = 28, SPREADS = 12;
const arrays = named.filter((value) => shapeOf(value).length && sizeOf(shapeOf(value)) > 1);
const looked = { value: null, cell: 0, selected: null, key: "", reached: null, isStuck: false };
const canReplay = Boolean(fileRule?.isKnown);

function section(id, title, before, ...children) {
  const made = make("section", { id, class: "card", "aria-labelledby": `${id}-title` }, make("div", { class: "bar" }, make("h2", { id: `${id}-title` }, title)), ...children);
  byId(before).before(made);
  return made;
}

// What is near enough to be seen is drawn; in training it takes a fifth of the time at most.
function whenSeen(host, render) {
  const one = { isSeen: false, next: 0 };
  one.render = () => {
    const begin = performance.now();
    if (!one.isSeen || (state.training && begin < one.next)) return;
    render();
    one.next = begin + 100 + 5 * (performance.now() - begin);
  };
  new IntersectionObserver(([entry]) => { one.isSeen = entry.isIntersecting; one.render(); }).observe(host);
  new ResizeObserver(() => one.render()).observe(host);
  new MutationObserver(() => { looked.key = ""; one.render(); }).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  followers.push(one.render);
}

// The passes of the row that is shown. Those of a recorded one are made again, some steps a frame; null until then.
function passesHere() {
  if (!model || !state.course.count) return null;
  const row = grounded(state.row, 12), reached = row ? null : `${stepAt(state.row)} ${Math.max(...[...exact.keys()].filter((step) => step < stepAt(state.row)))}`;
  looked.isStuck = !canReplay || reached === looked.reached;
  looked.reached = reached;
  if (!row && !looked.isStuck) showSoon();
  return row && passesOf(row);
}

const missing = () => (!model ? `Its range and norm are recorded; this page only replays: ${data.live?.why}.` : !looked.isStuck ? "The page makes this step again…" : "Of this step its range and norm are kept; go to the first or the last one, or press Train.");

// Colours: those of a number between two ends around 0, by the colours of gradients below it and of values above.
const rgb = (name) => [1, 3, 5].map((at) => parseInt(colour(name).slice(at, at + 2), 16));
const blend = (from, to, share) => from.map((x, k) => Math.round(x + (to[k] - x) * share));

const mixed = new Map();

function shades(low, high) {
  const key = `${low} ${high} ${document.documentElement.dataset.theme}`;
  if (mixed.has(key)) return mixed.get(key);
  const middle = rgb("card"), ends = [rgb(low), rgb(high)];
  mixed.set(key, Array.from({ length: 2 * SHADES + 1 }, (_, k) => blend(middle, ends[Number(k > SHADES)], Math.abs(k - SHADES) / SHADES)));
  return mixed.get(key);
}

// Paint one pixel a cell; the style makes them as large as there is room. Cells may be left out (gaps, what is not finite).
function paintCells(canvas, columns, lines, colourOf) {
  canvas.width = columns;
  canvas.height = lines;
  const pen = canvas.getContext("2d"), image = pen.createImageData(columns, lines);
  for (let k = 0; k < columns * lines; k += 1) {
    const tone = colourOf(k % columns, Math.floor(k / columns));
    if (tone) image.data.set([...tone, 255], 4 * k);
  }
  pen.putImageData(image, 0, 0);
}

// Elements --------------------------------------------------------------------------------------------------------

// The last two axes are a tile; tiles lie by the axis before, and below each other by those before that.
function layoutOf(shape) {
  const [high, wide] = shape.length > 1 ? shape.slice(-2) : [1, shape[0]];
  const count = sizeOf(shape.slice(0, -2)), before = shape[shape.length - 3];
  const across = shape.length > 3 && before > 1 ? before : Math.min(count, Math.ceil(Math.sqrt((2 * count * high) / wide)));
  const gap = Number(count > 1);
  return { high, wide, across, gap, count, columns: across * (wide + gap) - gap, lines: Math.ceil(count / across) * (high + gap) - gap };
}

function placeOf({ high, wide, across, gap }, cell) {
  const tile = Math.floor(cell / (high * wide)), inner = cell % (high * wide);
  return [(tile % across) * (wide + gap) + (inner % wide), Math.floor(tile / across) * (high + gap) + Math.floor(inner / wide)];
}

// The cell at a place, -1 in the gaps.
function cellAtPlace({ high, wide, across, gap, count }, x, y) {
  const [column, line] = [Math.floor(x / (wide + gap)), Math.floor(y / (high + gap))], [left, top] = [x % (wide + gap), y % (high + gap)];
  const tile = line * across + column;
  return left < wide && top < high && tile < count ? tile * high * wide + top * wide + left : -1;
}

const heats = ["value", "gradient"].map((what) => {
  const heat = { what, canvas: make("canvas", { class: "cells", tabindex: 0, role: "application" }), mark: make("div", { class: "mark", "aria-hidden": "true" }), scale: make("canvas", { class: "cells scale", "aria-hidden": "true" }), ends: make("div", { class: "ends faint small" }), note: make("p", { class: "faint small" }) };
  heat.place = make("div", { class: "heat-place" }, heat.canvas, heat.mark);
  heat.figure = make("figure", { class: "heat" }, make("figcaption", { class: what }, what), heat.note, heat.place, heat.scale, heat.ends);
  return heat;
});

// The numbers of an array or its gradient as far as the passes have come, or in words why there are none.
function elementsOf(value, isSlope) {
  if (isSlope && !hasGradient(value)) return "The objective does not depend on it.";
  if (!(isSlope ? isDerived : isComputed)(value)) return "Not reached yet.";
  if (isSmall(shapeOf(value))) return (isSlope ? gradientAt : valueAt)(value, state.row);
  const found = passesHere();
  return found ? asArray((isSlope ? found.gradients : found.values)[value] ?? new Float64Array(sizeOf(shapeOf(value)))) : missing();
}

function showElements() {
  if (state.selected !== looked.selected && arrays.includes(state.selected)) Object.assign(looked, { value: state.selected, cell: cellOf(state.selected) });
  looked.selected = state.selected;
  const { value } = looked, layout = layoutOf(shapeOf(value)), key = `${version} ${state.row} ${state.moment} ${value} ${lastRow()} ${byId("arrays").clientWidth}`;
  if (key === looked.key) return;
  looked.key = key;
  byId("array").value = value;
  const width = byId("arrays").querySelector(".heat").clientWidth;
  for (const heat of heats) {
    const numbers = elementsOf(value, heat.what === "gradient"), isThere = typeof numbers !== "string";
    heat.numbers = isThere ? numbers : null;
    for (const part of [heat.place, heat.scale, heat.ends]) part.hidden = !isThere;
    put(heat.note, isThere ? "" : numbers);
    if (isThere) paintHeat(heat, layout, width);
    else if (model && !looked.isStuck) looked.key = "";
  }
  tellCell();
}

function paintHeat(heat, layout, width) {
  const { columns, lines } = layout, { numbers, canvas, scale } = heat;
  let most = 0;
  for (const x of numbers) if (Number.isFinite(x) && Math.abs(x) > most) most = Math.abs(x);
  const tones = shades("gradient", "accent"), wrong = rgb("error");
  paintCells(canvas, columns, lines, (x, y) => {
    const number = numbers[cellAtPlace(layout, x, y)];
    return number === undefined ? null : Number.isFinite(number) ? tones[SHADES + Math.round((SHADES * number) / (most || 1))] : wrong;
  });
  // Square cells, unless they would be too flat or too thin to be seen.
  const size = Math.min(WIDEST_CELL, width / columns, HIGHEST / lines);
  heat.size = [Math.max(size, Math.min(width, 18) / columns), Math.max(size, 18 / lines)];
  [canvas.style.width, canvas.style.height] = heat.size.map((one, k) => `${one * [columns, lines][k]}px`);
  paintCells(scale, 2 * SHADES + 1, 1, (x) => tones[x]);
  heat.ends.replaceChildren(...[-most, 0, most].map((x) => make("span", {}, format(x, 3))));
}

function tellCell() {
  const { value, cell } = looked, [x, y] = placeOf(layoutOf(shapeOf(value)), cell);
  const told = heats.filter(({ numbers }) => numbers).map(({ what, numbers }) => `${what} ${format(numbers[cell])}`);
  const text = told.length ? `${cellName(value, cell)}: ${told.join(", ")}` : cellName(value, cell);
  put(byId("cell-text"), text);
  for (const { canvas, mark, size, numbers, what } of heats) {
    canvas.setAttribute("aria-label", `The ${what} of ${nameOf(value)}, ${shapeOf(value).join(" × ")}, as colours. The arrow keys go from element to element. ${text}`);
    if (!numbers) continue;
    Object.assign(mark.style, { left: `${x * size[0]}px`, top: `${y * size[1]}px`, width: `${size[0]}px`, height: `${size[1]}px` });
  }
}

// The element is also that of the details, where it can be typed and nudged.
function lookAt(cell, isMeant = false) {
  if (cell < 0 || cell >= sizeOf(shapeOf(looked.value))) return;
  looked.cell = cell;
  tellCell();
  if (!isMeant) return;
  cells.set(looked.value, cell);
  if (shown() === looked.value) showSoon();
  else select(looked.value);
}

function buildElements() {
  const choice = make("select", { id: "array" }, ...arrays.slice(0, 2000).map((value) => make("option", { value }, nameOf(value))));
  const made = section("arrays", "The elements", "around", make("div", { class: "heats" }, ...heats.map(({ figure }) => figure)), make("p", { id: "cell-text", class: "small", "aria-live": "polite" }));
  made.querySelector(".bar").append(make("label", {}, "of ", choice), make("p", { class: "faint" }, "Press one to have it in the details."));
  heats[1].figure.hidden = !isTraining;
  [looked.value] = [...arrays].sort((a, b) => isParameter(b) - isParameter(a) || depthOf[a] - depthOf[b] || shapeOf(b).length - shapeOf(a).length);
  choice.addEventListener("change", () => { Object.assign(looked, { value: Number(choice.value), cell: 0 }); select(looked.value); looked.key = ""; showSoon(); });
  for (const heat of heats) {
    const { canvas } = heat;
    const cellUnder = (event) => {
      const box = canvas.getBoundingClientRect();
      return cellAtPlace(layoutOf(shapeOf(looked.value)), Math.floor((event.clientX - box.left) / heat.size[0]), Math.floor((event.clientY - box.top) / heat.size[1]));
    };
    canvas.addEventListener("pointermove", (event) => lookAt(cellUnder(event)));
    canvas.addEventListener("pointerdown", (event) => lookAt(cellUnder(event), true));
    canvas.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key], layout = layoutOf(shapeOf(looked.value));
      if (event.ctrlKey || event.metaKey || event.altKey || !(by || event.key === "Enter")) return;
      event.preventDefault();
      event.stopPropagation();
      if (!by) return lookAt(looked.cell, true);
      let [x, y] = placeOf(layout, looked.cell);
      do { x += by[0]; y += by[1]; } while (x >= 0 && y >= 0 && x < layout.columns && y < layout.lines && cellAtPlace(layout, x, y) < 0);
      if (x >= 0 && y >= 0 && x < layout.columns && y < layout.lines) lookAt(cellAtPlace(layout, x, y));
    });
  }
  whenSeen(made, showElements);
}

// Spread over the steps -------------------------------------------------------------------------------------------

const spreadOf = parameters.filter((p) => !isSmall(shapeOf(p))).slice(0, 60);
const ofRun = new Map();

// So many equal bins between the smallest and the largest, as numpy.histogram has them.
function histogram(numbers) {
  let low = Infinity, high = -Infinity;
  for (const x of numbers) {
    if (x < low) low = x;
    if (x > high) high = x;
  }
  if (!Number.isFinite(high - low)) return null;
  const [least, most] = [low, high];
  if (low === high) { low -= 0.5; high += 0.5; }
  const counts = new Float64Array(BINS), width = (high - low) / BINS;
  for (const x of numbers) counts[Math.min(BINS - 1, Math.floor((x - low) / width))] += 1;
  return { low, high, counts, least, most };
}

const spreads = (found) => spreadOf.map((p) => [found.values[p], found.gradients?.[p]].map((numbers) => numbers && histogram(numbers)));
if (model && spreadOf.length) takers.push((row, found) => { row.spread = spreads(found); });
const spreadAt = (row) => (state.course === live && live.rows[row].recorded === undefined ? live.rows[row].spread : ofRun.get(stepAt(row)));

// A picture of bins by steps: as many columns as rows are kept, each bin spread over those of a common range.
function paintSpread(canvas, found, tone) {
  const lines = 48, low = Math.min(...found.map((one) => one.least)), high = Math.max(...found.map((one) => one.most)), scale = lines / (high - low || 1);
  const shares = found.map(({ least: from, most: to, counts }) => {
    const column = new Float64Array(lines), size = ((to - from) / BINS) * scale;
    counts.forEach((count, k) => {
      const begin = Math.min((from - low) * scale + k * size, lines - 1e-9), end = begin + Math.max(size, 1e-9);
      for (let line = Math.floor(begin); line < Math.min(lines, end); line += 1) column[line] += count * (size ? Math.max(0, Math.min(end, line + 1) - Math.max(begin, line)) / size : 1);
    });
    const most = column.reduce((a, b) => Math.max(a, b), 0);
    return column.map((x) => Math.sqrt(x / (most || 1)));
  });
  const tones = shades(tone, tone);
  paintCells(canvas, found.length, lines, (x, y) => tones[SHADES + Math.round(SHADES * shares[x][lines - 1 - y])]);
  return [low, high];
}

let spreadKey = "";

function showSpread() {
  const key = `${version} ${lastRow()} ${ofRun.size} ${byId("spread").clientWidth} ${document.documentElement.dataset.theme}`;
  const every = Math.max(1, Math.ceil(state.course.count / 240));
  const at = [...Array(state.course.count).keys()].filter((row) => row % every === 0 && spreadAt(row));
  const left = model && canReplay && !at.length && lastRow() > 0 ? recorded.count : 0;
  byId("spread-run").hidden = !left || isCounting;
  byId("spread-body").hidden = at.length < 2;
  put(byId("spread-note"), isCounting ? `Step ${whole(counted)}…` : at.length > 1 ? "From the first step to the last, darker where more elements are; press to go to a step." : model ? "Train, and see how the elements of each parameter and of its gradient spread." : missing());
  const last = at.filter((row) => stepAt(row) <= stepAt(state.row)).length - 0.5;
  byId("spread-body").style.setProperty("--now", `${(100 * Math.max(0, last)) / at.length}%`);
  if (at.length < 2) return;
  if (key !== spreadKey) {
    spreadKey = key;
    const all = at.map(spreadAt), steps = at.map(stepAt);
    byId("spread-body").replaceChildren(...spreadOf.slice(0, SPREADS).map((p, n) => make("div", { class: "spread" }, make("h3", {}, isolated(nameOf(p))), ...["value", "gradient"].map((what, k) => {
      const kept = all.map((one, row) => [one[n][k], steps[row]]).filter(([one]) => one), canvas = make("canvas", { class: "cells", role: "img" });
      if (!kept.length) return "";
      const [low, high] = paintSpread(canvas, kept.map(([one]) => one), k ? "gradient" : "accent").map((x) => format(x, 3));
      canvas.setAttribute("aria-label", `How the elements of the ${what} of ${nameOf(p)} are spread over steps ${steps[0]} to ${steps[steps.length - 1]}: ${low} to ${high}`);
      canvas.addEventListener("pointerdown", (event) => { const box = canvas.getBoundingClientRect(); stop(); goToStep(kept[Math.min(kept.length - 1, Math.floor(((event.clientX - box.left) / box.width) * kept.length))][1]); });
      return make("div", { class: "spread-one" }, make("div", { class: "over-steps" }, canvas), make("div", { class: `ends small ${what}` }, make("span", {}, `${what}: ${low} to ${high}`), make("span", { class: "faint" }, `steps ${whole(steps[0])}–${whole(steps[steps.length - 1])}`)));
    }))));
  }
}

let isCounting = false, counted = 0;

// The rows of the run are made again, some steps a frame.
function countRun(row = 0) {
  const begin = performance.now();
  isCounting = true;
  while (row < recorded.count && performance.now() - begin < 12) {
    const made = replayed(recorded.step(row), 12);
    if (!made) break;
    ofRun.set(recorded.step(row), spreads(passesOf(made)));
    row += 1;
  }
  isCounting = row < recorded.count;
  counted = recorded.step(Math.min(row, recorded.count - 1));
  if (isCounting) requestAnimationFrame(() => countRun(row));
  showSoon();
}

function buildSpread() {
  const run0 = make("button", { type: "button", id: "spread-run" }, "Make the steps of the run again");
  const made = section("spread", "How they spread", "charts", make("p", { id: "spread-note", class: "faint small" }), run0, make("div", { id: "spread-body" }));
  run0.addEventListener("click", () => countRun());
  whenSeen(made, showSpread);
}

// Gradients over the depth ------------------------------------------------------------------------------------------

// How many nodes there are at most before a node; a parameter is as deep as the first that takes it.
const depthOf = values.map(() => 0);
for (const node of waves.flat()) depthOf[node] = 1 + Math.max(0, ...values[node].inputs.filter(isNode).map((input) => depthOf[input]));
for (const p of parameters) depthOf[p] = Math.min(...edgesFrom[p].map((edge) => depthOf[edges[edge][1]]), Infinity);
const sloped = named.filter((value) => (isParameter(value) ? Number.isFinite(depthOf[value]) : values[value].needed)).slice(0, 1500);
const deep = { at: 0, points: [] };

function penOn(canvas) {
  const ratio = window.devicePixelRatio || 1, { clientWidth: w, clientHeight: h } = canvas;
  canvas.width = w * ratio;
  canvas.height = h * ratio;
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);
  pen.font = "11px system-ui";
  return [pen, w, h];
}

function showDepth() {
  const [pen, w, h] = penOn(byId("depth-canvas")), { left, right, top, bottom } = EDGE;
  const norms = sloped.map((value) => normOf([gradientAt(value, state.row)], [shapeOf(value)]));
  const [low, high] = endsOf([norms], true), far = Math.max(1, ...sloped.map((value) => depthOf[value]));
  const px = (depth) => left + ((depth - 0.5) / far) * (w - left - right);
  const py = (x) => h - bottom - 6 - (Math.log10(x / low) / Math.log10(high / low)) * (h - top - bottom - 12);
  pen.fillStyle = colour("faint");
  pen.strokeStyle = colour("line");
  pen.textAlign = "center";
  for (const depth of ticksBetween(1, Math.max(2, far), Math.max(2, Math.floor(w / 60)), true)) if (depth <= far) pen.fillText(depth, px(depth), h - 10);
  pen.textAlign = "right";
  for (const y of powersBetween(low, high)) {
    pen.strokeRect(left, py(y), w - left - right, 0);
    pen.fillText(format(y, 2), left - 6, py(y) + 4);
  }
  deep.points = sloped.map((value, k) => [px(depthOf[value]), norms[k] > 0 && Number.isFinite(norms[k]) ? py(norms[k]) : h - bottom, value, norms[k]]);
  deep.points.forEach(([x, y, value, norm], k) => {
    pen.strokeStyle = pen.fillStyle = colour(isParameter(value) ? "parameter-line" : "gradient");
    if (isParameter(value)) pen[norm > 0 ? "fillRect" : "strokeRect"](x - 4, y - 4, 8, 8);
    else dot(pen, x, y, 3);
    if (k !== deep.at) return;
    pen.strokeStyle = colour("ink");
    pen.lineWidth = 2;
    pen.strokeRect(x - 7, y - 7, 14, 14);
    pen.lineWidth = 1;
  });
  const [, , value, norm] = deep.points[deep.at];
  put(byId("depth-text"), `${nameOf(value)}, at depth ${depthOf[value]}: the norm of its gradient is ${format(norm, 4)}`);
}

function buildDepth() {
  const canvas = make("canvas", { id: "depth-canvas", tabindex: 0, role: "application", "aria-label": "The norm of each gradient over the depth of the graph. The arrow keys go from one to the next." });
  const made = section("depth", "Gradients over the depth", "charts", canvas, make("p", { id: "depth-text", class: "small", "aria-live": "polite" }));
  made.querySelector(".bar").append(make("p", { class: "faint" }, "The norm of the gradient, over how deep in the graph: squares are parameters, dots nodes."));
  const inOrder = [...sloped.keys()].sort((a, b) => depthOf[sloped[a]] - depthOf[sloped[b]]);
  const go = (k) => { deep.at = k; showDepth(); };
  const nearestTo = (event) => {
    const box = canvas.getBoundingClientRect(), far = deep.points.map(([x, y]) => Math.hypot(x - event.clientX + box.left, y - event.clientY + box.top));
    return far.indexOf(Math.min(...far));
  };
  canvas.addEventListener("pointermove", (event) => go(nearestTo(event)));
  canvas.addEventListener("pointerdown", (event) => { go(nearestTo(event)); select(sloped[deep.at], true); });
  canvas.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (event.ctrlKey || event.metaKey || event.altKey || !(by || event.key === "Enter")) return;
    event.preventDefault();
    event.stopPropagation();
    if (by) go(inOrder[Math.max(0, Math.min(inOrder.length - 1, inOrder.indexOf(deep.at) + by))]);
    else select(sloped[deep.at], true);
  });
  whenSeen(canvas, showDepth);
}

// For the console: the histograms of a parameter and its gradient in the row that is shown.
graphrun.spread = (name) => (spreadAt(state.row)?.[spreadOf.findIndex((p) => nameOf(p) === name)] ?? []).map((one) => one && { ...one, counts: [...one.counts] });

if (arrays.length) starters.push(buildElements);
if (spreadOf.length) starters.push(buildSpread);
if (isTraining && sloped.length > 1) starters.push(buildDepth);
