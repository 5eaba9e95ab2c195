// What a small network has learned: the map of its answers over two inputs, the curve over one, and what it answers to
// the rows of this step. Where it begins and ends is found by the graph: its answer is what, on the way to the
// objective, first meets numbers of the rows that it was not computed from.

const GRID = 48, MOST_FEATURES = 16, MOST_POINTS = 1500, TILES = 30;
const PALETTE = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#8a8a00", "#7f3c8d", "#a05a2c", "#7f7f7f"];
const seen = { answer: null, axes: [0, null], output: 0, grid: null, job: null, key: "", at: null };

// Of each value: the leaves with rows that it comes from, and whether parameters move it.
const sources = values.map(() => new Set()), isMoved = values.map((_, value) => isParameter(value));
for (const value of order) {
  if (isNode(value)) for (const input of values[value].inputs) {
    sources[input].forEach((leaf) => sources[value].add(leaf));
    isMoved[value] ||= isMoved[input];
  } else if (["data", "constant"].includes(values[value].kind) && shapeOf(value)[0] > 1) sources[value].add(value);
}
const rowsIn = (value) => shapeOf(value)[0] ?? 0, widthOf = (value) => sizeOf(shapeOf(value).slice(1));

// A loss tells best where the answer meets its target, a difference next.
function findAnswer() {
  let best = null;
  for (const node of waves.flat()) {
    if (!values[node].needed) continue;
    const rank = /entropy|loss|nll|error|hinge/.test(values[node].type) ? 3 : values[node].type === "subtract" ? 2 : 1;
    for (const answer of values[node].inputs) for (const target of values[node].inputs) {
      const isMet = isMoved[answer] && sources[answer].size && !isMoved[target] && rowsIn(target) > 1 && rowsIn(target) === rowsIn(answer);
      if (isMet && rank > (best?.rank ?? 0) && ![...sources[target]].every((leaf) => sources[answer].has(leaf))) best = { rank, node, answer, target, type: values[node].type };
    }
  }
  if (!best) return null;
  const inputs = [...sources[best.answer]].filter((leaf) => rowsIn(leaf) === rowsIn(best.answer));
  return inputs.length ? { ...best, inputs, features: inputs.flatMap((leaf) => Array.from({ length: widthOf(leaf) }, (_, k) => [leaf, k])) } : null;
}

const met = model && isTraining ? findAnswer() : null;
const count = met ? rowsIn(met.answer) : 0;
const featureName = ([leaf, k]) => `${nameOf(leaf)}${shapeOf(leaf).length > 1 && widthOf(leaf) > 1 ? `[${placesOf(k, shapeOf(leaf).slice(1))}]` : ""}`;
const isCurve = () => seen.axes[1] === null;

// All rows of a leaf, or those of this step.
const rowsOf = (leaf, leaves) => feed?.columns[leaf] ?? asArray(leaves[leaf]);
const featureIn = ([leaf, k], leaves) => { const column = rowsOf(leaf, leaves), width = widthOf(leaf); return Array.from({ length: column.length / width }, (_, row) => column[row * width + k]); };

// What an answer says: one number a row, several, or a class among several.
function kindOf() {
  const outputs = widthOf(seen.answer), isOwn = seen.answer === met.answer;
  const isClass = outputs > 1 && (widthOf(met.target) === 1 || /entropy/.test(met.type));
  return { outputs, isClass, middle: isOwn && /with_logits/.test(met.type) ? 0 : null };
}

const largest = (numbers, from, width) => { let best = 0; for (let k = 1; k < width; k += 1) if (numbers[from + k] > numbers[from + best]) best = k; return best; };

// What is to be answered: the class, or the number of an output.
function labelsIn(column, kind) {
  const width = widthOf(met.target);
  return Array.from({ length: column.length / width }, (_, row) => (kind.isClass && width > 1 ? largest(column, row * width, width) : column[row * width + (width > 1 ? Math.min(seen.output, width - 1) : 0)]));
}

// The answers at places of the chosen features, all others as given; as many at once as the graph has rows.
function* answers(leaves, others, points) {
  const width = widthOf(seen.answer), found = new Float64Array(points.length * width);
  for (let from = 0; from < points.length; from += count) {
    const given = leaves.slice();
    for (const leaf of met.inputs) given[leaf] = new Float64Array(sizeOf(shapeOf(leaf)));
    met.features.forEach(([leaf, k], n) => { for (let row = 0; row < count; row += 1) given[leaf][row * widthOf(leaf) + k] = others[n]; });
    for (let row = 0; row < count; row += 1) {
      const point = points[Math.min(from + row, points.length - 1)];
      seen.axes.forEach((n, axis) => { if (n !== null) { const [leaf, k] = met.features[n]; given[leaf][row * widthOf(leaf) + k] = point[axis]; } });
    }
    const all = asArray(model.compute(given).values[seen.answer]);
    found.set(all.subarray(0, Math.min(count, points.length - from) * width), from * width);
    yield;
  }
  return found;
}

// Whether an answer is that of its row alone: others in another order do not change it.
function isOfRows(leaves) {
  const given = leaves.slice();
  for (const leaf of met.inputs) {
    const width = widthOf(leaf), old = asArray(leaves[leaf]);
    given[leaf] = Float64Array.from(old, (x, k) => (k < width ? x : old[old.length - width + (k % width)]));
  }
  const [was, is] = [leaves, given].map((all) => asArray(model.compute(all).values[seen.answer]).slice(0, widthOf(seen.answer)));
  return was.every((x, k) => Math.abs(x - is[k]) <= 1e-9 * (Math.abs(x) + 1));
}

// Making it -------------------------------------------------------------------------------------------------------

function spanOf(numbers) {
  const known = numbers.filter(Number.isFinite), low = known.reduce((a, b) => Math.min(a, b), Infinity), high = known.reduce((a, b) => Math.max(a, b), -Infinity);
  const room = 0.15 * (high - low) || 1;
  return low <= high ? [low - room, high + room] : [0, 1];
}

function beginMap(found, key) {
  const { leaves } = found, columns = met.features.map((feature) => featureIn(feature, leaves));
  const others = columns.map((column) => column.reduce((sum, x) => sum + x / column.length, 0));
  const spans = seen.axes.filter((n) => n !== null).map((n) => spanOf(columns[n])), n = isCurve() ? 160 : state.training ? GRID / 2 : GRID;
  const along = ([low, high], k) => low + ((high - low) * k) / n;
  const grid = Array.from({ length: isCurve() ? n + 1 : (n + 1) ** 2 }, (_, k) => (isCurve() ? [along(spans[0], k)] : [along(spans[0], k % (n + 1)), along(spans[1], Math.floor(k / (n + 1)))]));
  const kind = kindOf(), isWhole = feed && feed.columns[met.target], target = isWhole ? feed.columns[met.target] : asArray(found.values[met.target]);
  const labels = labelsIn(target, kind), own = !feed || isWhole ? columns : met.features.map((feature) => featureIn(feature, leaves).slice(0, count));
  const every = Math.ceil(labels.length / MOST_POINTS);
  const points = labels.flatMap((label, row) => (row % every ? [] : [[...seen.axes.map((axis) => own[axis]?.[row]), label]]));
  seen.job = { key, grid: { spans, n, kind, points, places: grid, answer: seen.answer, z: null }, samples: answers(leaves, others, grid) };
  workMap();
}

// In slices; what is being made is finished before the next, so that something is seen of a quick training.
function workMap() {
  const { job } = seen, until = performance.now() + 7;
  if (!job) return;
  do {
    const { done, value } = job.samples.next();
    if (!done) continue;
    Object.assign(job.grid, { z: value });
    Object.assign(seen, { grid: job.grid, job: null });
    paintMap();
    showSoon();
    return;
  } while (performance.now() < until);
  requestAnimationFrame(workMap);
}

function showMap() {
  const key = `${version} ${state.row} ${seen.answer} ${seen.axes} ${seen.output} ${state.training}`;
  if (key === seen.key || seen.job) return;
  const found = passesHere();
  byId("seen-canvas").hidden = !found;
  if (!found) return put(byId("seen-text"), missing());
  seen.key = key;
  seen.isOfRows ??= isOfRows(found.leaves);
  if (!seen.isOfRows) { byId("seen-canvas").hidden = true; return put(byId("seen-text"), `What ${nameOf(seen.answer)} is for a row depends on the other rows of the step, so there is no map of it.`); }
  beginMap(found, key);
}

// Drawing ---------------------------------------------------------------------------------------------------------

const classTone = (k) => PALETTE[((k % PALETTE.length) + PALETTE.length) % PALETTE.length];
const outputIn = (grid, k) => grid.z[k * grid.kind.outputs + Math.min(seen.output, grid.kind.outputs - 1)];

// The numbers that are between its ends around a middle: that of a logit is 0, else that of the labels.
function centre({ kind, points, z }) {
  const labels = points.map((point) => point[2]), [low, high] = [Math.min(...labels), Math.max(...labels)];
  const middle = kind.middle ?? (low + high) / 2;
  return [middle, kind.middle === null ? Math.max(high - middle, 1e-12) : Math.max(1, ...z.map((x) => (Number.isFinite(x) ? Math.abs(x) : 0)))];
}

function paintMap() {
  const { grid } = seen, canvas = byId("seen-canvas");
  if (!grid || grid.answer !== seen.answer || grid.spans.length !== (isCurve() ? 1 : 2)) return;
  const [pen, w, h] = penOn(canvas), { left, right, top, bottom } = EDGE, { kind, points, n, z } = grid, labels = points.map((point) => point[2]);
  const drawn0 = kind.isClass ? [...z] : [...Array(grid.places.length).keys()].map((k) => outputIn(grid, k));
  const ys = isCurve() ? spanOf(kind.isClass ? drawn0 : [...drawn0, ...labels]) : grid.spans[1], xs = grid.spans[0];
  const px = (x) => left + ((x - xs[0]) / (xs[1] - xs[0])) * (w - left - right), py = (y) => h - bottom - ((y - ys[0]) / (ys[1] - ys[0])) * (h - top - bottom);
  seen.back = (event) => { const box = canvas.getBoundingClientRect(); return [xs[0] + ((event.clientX - box.left - left) / (w - left - right)) * (xs[1] - xs[0]), ys[0] + ((h - bottom - event.clientY + box.top) / (h - top - bottom)) * (ys[1] - ys[0])]; };
  axesOf(pen, xs, ys, px, py, w, h);
  const [middle, most] = centre(grid), tones = shades("gradient", "accent");
  const toneOf = (x) => tones[SHADES + Math.round(SHADES * Math.max(-1, Math.min(1, (x - middle) / most)))] ?? rgb("error");
  if (isCurve()) {
    const outputs = kind.isClass ? [...Array(kind.outputs).keys()] : [Math.min(seen.output, kind.outputs - 1)];
    for (const output of outputs) {
      pen.strokeStyle = kind.isClass ? classTone(output) : colour("accent");
      pen.lineWidth = 2;
      pen.beginPath();
      grid.places.forEach(([x], k) => pen[k ? "lineTo" : "moveTo"](px(x), py(z[k * kind.outputs + output])));
      pen.stroke();
    }
  } else {
    // One pixel a place, stretched over the plot; places are at the middles of pixels.
    const image = make("canvas"), half = 0.5 / n, card = rgb("card"), classes = PALETTE.map((tone) => [1, 3, 5].map((at) => parseInt(tone.slice(at, at + 2), 16)));
    paintCells(image, n + 1, n + 1, (column, line) => {
      const k = (n - line) * (n + 1) + column, best = largest(z, k * kind.outputs, kind.outputs);
      if (kind.isClass) return blend(card, classes[best % classes.length], 0.15 + 0.5 * shareOf(z, k * kind.outputs, kind.outputs, best));
      return blend(card, toneOf(outputIn(grid, k)), 0.8);
    });
    const [wide, high] = [w - left - right, h - top - bottom];
    pen.save();
    pen.beginPath();
    pen.rect(left, top, wide, high);
    pen.clip();
    pen.drawImage(image, left - half * wide, top - half * high, wide * (1 + 2 * half), high * (1 + 2 * half));
    pen.restore();
  }
  for (const [a, b, label] of points) {
    const at = isCurve() ? (kind.isClass ? ys[0] + (ys[1] - ys[0]) * 0.03 : label) : b;
    pen.fillStyle = kind.isClass ? classTone(label) : isCurve() ? colour("gradient") : `rgb(${toneOf(label)})`;
    pen.strokeStyle = !isCurve() ? colour("ink") : points.length > 300 ? pen.fillStyle : colour("card");
    pen.lineWidth = 1;
    mark0(pen, kind.isClass ? label : Number(!isCurve() && label > (middle === 0 ? 0.5 : middle)), px(a), py(at), points.length > 300 ? 2.5 : 4.5);
  }
  const across = featureName(met.features[seen.axes[0]]);
  pen.fillStyle = colour("ink");
  pen.strokeStyle = colour("card");
  pen.lineWidth = 3;
  pen.textAlign = "right";
  for (const way of ["strokeText", "fillText"]) pen[way](across, w - right - 4, h - bottom - 6);
  pen.lineWidth = 1;
  pen.textAlign = "left";
  pen.fillText(isCurve() ? nameOf(seen.answer) : featureName(met.features[seen.axes[1]]), 4, top + 4);
  if (seen.at) { pen.strokeStyle = colour("ink"); pen.strokeRect(px(seen.at[0]) - 5, (isCurve() ? h / 2 : py(seen.at[1])) - 5, 10, 10); }
  tellMap();
}

// The share of a class by the softmax of the outputs, above that of knowing nothing.
function shareOf(z, from, width, best) {
  let sum = 0;
  for (let k = 0; k < width; k += 1) sum += Math.exp(z[from + k] - z[from + best]);
  return Math.max(0, (1 / sum - 1 / width) / (1 - 1 / width)) || 0;
}

// Classes differ by their form too.
function mark0(pen, k, x, y, size) {
  pen.beginPath();
  const corners = [0, 4, 3, 4][((k % 4) + 4) % 4] || 0, turn = k % 4 === 1 ? Math.PI / 4 : -Math.PI / 2;
  if (!corners) pen.arc(x, y, size, 0, 7);
  for (let n = 0; n < corners; n += 1) pen[n ? "lineTo" : "moveTo"](x + 1.25 * size * Math.cos(turn + (2 * Math.PI * n) / corners), y + 1.25 * size * Math.sin(turn + (2 * Math.PI * n) / corners));
  pen.closePath();
  pen.fill();
  pen.stroke();
}

function answerNear([x, y]) {
  const { grid } = seen, { n, spans } = grid, place = (at, [low, high]) => Math.max(0, Math.min(n, Math.round(((at - low) / (high - low)) * n)));
  const k = place(x, spans[0]) + (isCurve() ? 0 : place(y, spans[1]) * (n + 1)), { outputs, isClass } = grid.kind;
  const where = grid.places[k].map((at, axis) => `${featureName(met.features[seen.axes[axis]])} = ${format(at, 4)}`).join(", ");
  return `At ${where} ${nameOf(seen.answer)} is ${isClass ? `largest for class ${largest(grid.z, k * outputs, outputs)}` : format(outputIn(grid, k), 4)}.`;
}

function tellMap() {
  const { kind, points } = seen.grid, rest = met.features.length - seen.grid.spans.length;
  const what = isCurve() ? `${nameOf(seen.answer)} over ${featureName(met.features[seen.axes[0]])}` : `${nameOf(seen.answer)} over ${seen.axes.map((n) => featureName(met.features[n])).join(" and ")}`;
  const sample = feed?.sampled ? `, ${feed.sampled}` : "", others = rest ? `, ${rest} other input${rest === 1 ? "" : "s"} at the mean` : "";
  const text = `${what}, ${whole(points.length)} of the rows as points${sample}${others}. ${seen.at ? answerNear(seen.at) : kind.isClass ? "Each colour and form is a class." : isCurve() ? "" : "Orange is low, blue is high."}`;
  put(byId("seen-text"), text);
  byId("seen-canvas").setAttribute("aria-label", `${text} The arrow keys tell the answer at a place.`);
}

// The rows of this step ---------------------------------------------------------------------------------------------

// A row that is a picture: as the graph shapes it, or a square.
function pictureOf(leaf) {
  const width = widthOf(leaf), shaped = [...values.keys()].find((value) => sources[value].has(leaf) && shapeOf(value).length > 2 && rowsIn(value) === count && widthOf(value) === width && !isMoved[value]);
  if (shaped !== undefined) return shapeOf(shaped).slice(-2);
  const side = Math.sqrt(width);
  return Number.isInteger(side) && side > 3 ? [side, side] : null;
}

let rowsKey = "";

function showRows() {
  const key = `${version} ${state.row} ${seen.answer} ${seen.output} ${document.documentElement.dataset.theme}`;
  if (key === rowsKey) return;
  const found = passesHere();
  if (!found) return put(byId("rows-note"), missing());
  rowsKey = key;
  const kind = kindOf(), labels = labelsIn(asArray(found.values[met.target]), kind), all = asArray(found.values[seen.answer]), width = kind.outputs;
  const isBinary = !kind.isClass && labels.every((label) => label === 0 || label === 1) && /entropy|hinge/.test(met.type);
  const [leaf] = met.inputs, size = pictureOf(leaf), given = asArray(found.leaves[leaf]), step = widthOf(leaf);
  const told = labels.map((label, row) => (kind.isClass ? largest(all, row * width, width) : all[row * width + Math.min(seen.output, width - 1)]));
  const isRight = (row) => (kind.isClass ? told[row] === labels[row] : isBinary ? Number(told[row] > (kind.middle ?? 0.5)) === labels[row] : null);
  const right = isRight(0) === null ? null : labels.filter((_, row) => isRight(row)).length;
  put(byId("rows-note"), `${right === null ? "" : `${right} of ${count} are right. `}${feed ? `The rows of step ${whole(stepAt(state.row))}${count > TILES ? `, the first ${TILES}` : ""}` : count > TILES ? `The first ${TILES} rows` : "All rows"}: the label, and what ${nameOf(seen.answer)} says.${feed?.sampled ? ` The page has ${feed.sampled}.` : ""}`);
  const shown0 = labels.slice(0, TILES), body = byId("rows-body");
  if (body.childElementCount !== shown0.length) body.replaceChildren(...shown0.map((_, row) => make("div", { class: "told" }, size ? make("canvas", { class: "cells", role: "img", "aria-label": `picture ${row + 1}` }) : make("span", { class: "faint" }), make("span"))));
  const tones = shades("ink", "ink");
  shown0.forEach((label, row) => {
    const [before, said0] = body.children[row].children, from = row * step;
    if (size) {
      const picture = given.slice(from, from + size[0] * size[1]), [low, top] = [Math.min(...picture), Math.max(...picture)];
      paintCells(before, size[1], size[0], (x, y) => tones[SHADES + Math.round((SHADES * (picture[y * size[1] + x] - low)) / (top - low || 1))]);
    } else {
      put(before, met.inputs.flatMap((input) => [...asArray(found.leaves[input]).slice(row * widthOf(input), (row + 1) * widthOf(input))]).slice(0, 4).map((x) => format(x, 4)).join(", "));
    }
    const isWrong = isRight(row) === false;
    put(said0, `${format(label, 3)} → ${format(told[row], 3)}${isWrong ? " ✗" : ""}`);
    said0.classList.toggle("bad", isWrong);
  });
}

// Choosing --------------------------------------------------------------------------------------------------------

function chooseSeen() {
  seen.answer = Number(byId("seen-answer").value);
  const over = ["seen-x", "seen-y"].map((id) => Number(byId(id).value));
  seen.axes = [over[0], over[1] < 0 ? null : over[1]];
  const { outputs, isClass } = kindOf();
  if (byId("seen-output").childElementCount !== outputs) byId("seen-output").replaceChildren(...Array.from({ length: outputs }, (_, k) => make("option", { value: k }, k)));
  seen.output = Math.min(Number(byId("seen-output").value), outputs - 1);
  byId("seen-output").parentElement.hidden = outputs === 1 || isClass;
  Object.assign(seen, { isOfRows: undefined, at: null, key: "", job: null, grid: null });
  showSoon();
}

function buildSeen() {
  const select0 = (id, label, options) => make("label", {}, label, make("select", { id }, ...options.map(([value, text]) => make("option", { value }, text))));
  const nodes = [...values.keys()].filter((value) => isNode(value) && rowsIn(value) === count && sources[value].size && met.inputs.some((leaf) => sources[value].has(leaf)) && isMoved[value] && widthOf(value) <= 64).slice(0, 300);
  const over = met.features.slice(0, MOST_FEATURES).map((feature, n) => [n, featureName(feature)]);
  const canvas = make("canvas", { id: "seen-canvas", tabindex: 0, role: "application" });
  const made = section("seen", "What it has learned", "around", canvas, make("p", { id: "seen-text", class: "faint small" }), make("h3", {}, "The rows of this step"), make("p", { id: "rows-note", class: "faint small" }), make("div", { id: "rows-body", tabindex: 0, role: "region", "aria-label": "The rows of this step" }));
  if (!nodes.includes(met.answer)) nodes.push(met.answer);
  made.querySelector(".bar").append(select0("seen-answer", "of ", nodes.map((value) => [value, nameOf(value)])), select0("seen-output", "output ", []), select0("seen-x", "over ", over), select0("seen-y", "and ", [[-1, "nothing else"], ...over]));
  // Of a logit the probability is told, where the graph has it; inputs of many values before those of few.
  byId("seen-answer").value = nodes.find((node) => values[node].type === "sigmoid" && values[node].inputs[0] === met.answer) ?? met.answer;
  const leaves = { ...firstState.leaves, ...fed(firstState.step) }, isFine = over.map(([n]) => new Set(featureIn(met.features[n], leaves)).size > 5);
  const [first, second] = [...over.keys()].sort((a, b) => isFine[b] - isFine[a]);
  byId("seen-x").value = first;
  byId("seen-y").value = second ?? -1;
  for (const id of ["seen-answer", "seen-output", "seen-x", "seen-y"]) byId(id).addEventListener("change", chooseSeen);
  seen.isMap = met.features.length <= MOST_FEATURES;
  if (!seen.isMap) for (const id of ["seen-canvas", "seen-text"]) byId(id).hidden = true;
  if (!seen.isMap) for (const id of ["seen-x", "seen-y"]) byId(id).parentElement.hidden = true;
  chooseSeen();
  const go = (at) => { seen.at = at; if (seen.grid) paintMap(); };
  canvas.addEventListener("pointermove", (event) => seen.back && go(seen.back(event)));
  canvas.addEventListener("pointerleave", () => go(null));
  canvas.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowDown: [0, -1], ArrowUp: [0, 1] }[event.key];
    if (event.ctrlKey || event.metaKey || event.altKey || !by || !seen.grid) return;
    event.preventDefault();
    event.stopPropagation();
    const from = seen.at ?? seen.grid.spans.map(([low, high]) => (low + high) / 2);
    go(from.map((x, axis) => { const [low, high] = seen.grid.spans[axis] ?? [0, 0]; return Math.max(low, Math.min(high, x + (by[axis] * (high - low)) / 40)); }));
  });
  whenSeen(made, () => {
    if (seen.isMap) { paintMap(); showMap(); }
    showRows();
  });
}

// For the console: the places of the map, and the answers there.
graphrun.map = () => seen.grid && { places: seen.grid.places, answers: nestedOf([...seen.grid.z], [seen.grid.places.length, seen.grid.kind.outputs]) };

if (met) starters.push(buildSeen);
