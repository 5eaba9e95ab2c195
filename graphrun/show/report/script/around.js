// The loss around here: the objective over one or two numbers of the parameters, all else as in the row that is shown.

const FINE = 48, COARSE = 12, EDGE = { left: 56, right: 12, top: 10, bottom: 26 };
const around = { axes: [null, null], ranges: [], zoom: 1, grid: null, job: null, isSeen: false };
const choices = () => parameters.flatMap((p) => (isSmall(shapeOf(p)) ? Array.from(asArray(firstState.leaves[p])) : [0]).map((_, k) => [p, isSmall(shapeOf(p)) ? k : cellOf(p)])).slice(0, 300);
const isOne = () => around.axes[1] === null;

function putNumber(leaves, [value, cell], x) {
  if (typeof leaves[value] === "number") leaves[value] = x;
  else (leaves[value] = leaves[value].slice())[cell] = x;
}

// Where the rows have been, as far as that is known, and where the next step leads from this one.
function pathOn(axis) {
  const [value, cell] = axis;
  return Array.from({ length: state.course.count }, (_, row) => {
    const own = state.course === live && live.rows[row].recorded === undefined ? asArray(live.rows[row].leaves[value]) : isSmall(shapeOf(value)) ? valueAt(value, row) : null;
    return own ? own[cell] : NaN;
  });
}

const nextOn = ([value, cell], here, row) => (isFiniteAt(row) && setup.isKnown ? asArray(updateOf(row).leaves[value])[cell] : here);

// The range holds the path and the next step; it stays while they are within it.
function rangeAround(here, next, path, old, isNew) {
  const far = Math.max(...path.filter(Number.isFinite).map((x) => Math.abs(x - here)), 2 * Math.abs(next - here));
  if (!isNew && old && [here, next].every((x) => x > old[0] && x < old[1])) return old;
  const half = (far > 1e-12 * Math.abs(here) ? 1.25 * far : Math.abs(here) / 2 || 1) * around.zoom;
  return [here - half, here + half];
}

function* sampled(leaves, grid) {
  const { n, ranges: [[x0, x1], [y0, y1] = [0, 0]], axes: [x, y], z } = grid;
  for (let k = 0; k < z.length; k += 1) {
    putNumber(leaves, x, x0 + ((x1 - x0) * (k % (n + 1))) / n);
    if (y) putNumber(leaves, y, y0 + ((y1 - y0) * Math.floor(k / (n + 1))) / n);
    z[k] = asArray(model.compute(leaves).values[objective.value])[0];
    yield;
  }
}

// In slices, so that the page goes on; a coarse grid first.
function work() {
  const { job } = around, until = performance.now() + 8;
  if (!job) return;
  do {
    if (!job.samples.next().done) continue;
    around.grid = job.grid;
    around.job = null;
    // Where the coarse one took long, a fine one would take minutes.
    if (job.grid.n === COARSE && performance.now() - job.begin < 3000) beginSamples(job.leaves, { ...job.grid, n: isOne() ? 160 : FINE });
    drawAround();
    break;
  } while (performance.now() < until);
  if (around.job) requestAnimationFrame(work);
}

function beginSamples(leaves, { axes, ranges, n }) {
  const wasIdle = !around.job, grid = { axes, ranges, n, z: new Float64Array(isOne() ? n + 1 : (n + 1) ** 2) };
  around.job = { begin: performance.now(), leaves, grid, samples: sampled(leaves.slice(), grid) };
  if (wasIdle) requestAnimationFrame(work);
}

// Whether all but the chosen numbers are as they were.
function isSameElsewhere(a, b) {
  const isChosen = (slot, k) => around.axes.some((axis) => axis && axis[0] === slot && axis[1] === k);
  return a?.length === b.length && b.every((now, slot) => a[slot] === now || (now !== undefined && a[slot] !== undefined && asArray(now).every((x, k) => x === asArray(a[slot])[k] || isChosen(slot, k))));
}

let aroundShown = null;

function showAround(isNew = false) {
  if (!model || !isTraining || !around.isSeen || !around.axes[0]) return;
  const key = `${version} ${state.row} ${around.axes}`;
  if (!isNew && key === aroundShown) return;
  aroundShown = key;
  const row = grounded(state.row, 50);
  if (!row) return put(byId("around-text"), "At this step the page has not all that it takes; the picture is of another one.");
  const { leaves } = passesOf(row), axes = around.axes.filter(Boolean);
  around.here = axes.map(([value, cell]) => asArray(leaves[value])[cell]);
  around.next = axes.map((axis, k) => nextOn(axis, around.here[k], under(row)));
  around.paths = axes.map(pathOn);
  const ranges = axes.map((_, k) => rangeAround(around.here[k], around.next[k], around.paths[k], around.ranges[k], isNew));
  const isSame = !isNew && String(ranges) === String(around.ranges) && isSameElsewhere(around.leaves, leaves);
  Object.assign(around, { ranges, leaves, top: asArray(passesOf(row).values[objective.value])[0] });
  if (!isSame) beginSamples(leaves, { axes, ranges, n: COARSE });
  drawAround();
}

// Drawing ---------------------------------------------------------------------------------------------------------

function drawAround() {
  const canvas = byId("around-canvas"), { grid, here, next, paths } = around;
  if (!grid || grid.axes.length !== here?.length) return;
  const ratio = window.devicePixelRatio || 1, w = canvas.clientWidth, h = canvas.clientHeight;
  canvas.width = w * ratio;
  canvas.height = h * ratio;
  const pen = canvas.getContext("2d"), { left, right, top, bottom } = EDGE;
  pen.scale(ratio, ratio);
  pen.font = "11px system-ui";
  const finite = [...grid.z].filter(Number.isFinite).sort((a, b) => a - b);
  const up = isOne() ? spread(finite, around.top) : grid.ranges[1], [x0, x1] = grid.ranges[0];
  const px = (x) => left + ((x - x0) / (x1 - x0)) * (w - left - right), py = (y) => h - bottom - ((y - up[0]) / (up[1] - up[0])) * (h - top - bottom);
  around.back = (event) => {
    const box = canvas.getBoundingClientRect();
    return [x0 + ((event.clientX - box.left - left) / (w - left - right)) * (x1 - x0), up[0] + ((h - bottom - event.clientY + box.top) / (h - top - bottom)) * (up[1] - up[0])];
  };
  axesOf(pen, [x0, x1], up, px, py, w, h);
  pen.fillStyle = colour("ink");
  pen.fillText(cellName(...grid.axes[0]), w - right, h - 10);
  pen.textAlign = "left";
  pen.fillText(isOne() ? nameOf(objective.value) : cellName(...grid.axes[1]), 4, top + 4);
  pen.save();
  pen.beginPath();
  pen.rect(left, top, w - left - right, h - top - bottom);
  pen.clip();
  const stroke = (tone, width, points) => {
    pen.strokeStyle = colour(tone);
    pen.lineWidth = width;
    pen.beginPath();
    points.forEach(([x, y], k) => pen[k && Number.isFinite(y) ? "lineTo" : "moveTo"](px(x), py(y)));
    pen.stroke();
  };
  if (isOne()) stroke("accent", 2, [...grid.z].map((z, k) => [x0 + ((x1 - x0) * k) / grid.n, z]));
  else contours(pen, grid, finite, px, py);
  const place = (row) => (isOne() ? [paths[0][row], valueAt(objective.value, row)[0]] : [paths[0][row], paths[1][row]]);
  const points = paths[0].map((_, row) => place(row)).filter(([x]) => Number.isFinite(x));
  stroke("faint", 1.5, points);
  pen.fillStyle = colour("faint");
  if (points.length <= 60) points.forEach(([x, y]) => dot(pen, px(x), py(y), 2.2));
  const at = isOne() ? [here[0], around.top] : here, to = isOne() ? [next[0], valueNear(grid, next[0])] : next;
  arrow(pen, [px(at[0]), py(at[1])], [px(to[0]), py(to[1])]);
  pen.fillStyle = colour("gradient");
  dot(pen, px(at[0]), py(at[1]), 5);
  pen.restore();
  tellAround(finite);
}

function spread(finite, now) {
  const [least, most] = [Math.min(finite[0] ?? now, now), Math.max(finite[finite.length - 1] ?? now, now)];
  const gap = (most - least) * 0.06 || 1;
  return [least - gap, most + gap];
}

function dot(pen, x, y, size) {
  pen.beginPath();
  pen.arc(x, y, size, 0, 7);
  pen.fill();
}

// A step too small to be seen is drawn in its direction, as long as can be seen.
function arrow(pen, [x, y], [toX, toY]) {
  const length = Math.hypot(toX - x, toY - y);
  if (!(length > 0.01)) return;
  const scale = Math.max(1, 24 / length), turn = Math.atan2(toY - y, toX - x), endX = x + (toX - x) * scale, endY = y + (toY - y) * scale;
  pen.strokeStyle = pen.fillStyle = colour("gradient");
  pen.lineWidth = 2.5;
  pen.beginPath();
  pen.moveTo(x, y);
  pen.lineTo(endX, endY);
  pen.stroke();
  pen.beginPath();
  for (const by of [0, 2.6, -2.6]) pen.lineTo(endX + 9 * Math.cos(turn + by), endY + 9 * Math.sin(turn + by));
  pen.fill();
}

function valueNear({ z, n, ranges: [[x0, x1]] }, x) {
  const place = Math.max(0, Math.min(n - 1e-9, ((x - x0) / (x1 - x0)) * n)), k = Math.floor(place);
  return z[k] + (z[k + 1] - z[k]) * (place - k);
}

function axesOf(pen, xs, ys, px, py, w, h) {
  pen.fillStyle = colour("faint");
  pen.strokeStyle = colour("line");
  pen.textAlign = "center";
  for (const x of ticksBetween(...xs, Math.max(2, Math.floor(w / 90)))) {
    pen.strokeRect(px(x), EDGE.top, 0, h - EDGE.top - EDGE.bottom);
    pen.fillText(format(x, 4), px(x), h - 10);
  }
  pen.textAlign = "right";
  for (const y of ticksBetween(...ys, Math.max(2, Math.floor(h / 50)))) {
    pen.strokeRect(EDGE.left, py(y), w - EDGE.left - EDGE.right, 0);
    pen.fillText(format(y, 4), EDGE.left - 6, py(y) + 4);
  }
}

// Shades by rank, and lines of one height by marching squares.
function contours(pen, { z, n, ranges: [[x0, x1], [y0, y1]] }, finite, px, py) {
  if (finite.length < 2) return;
  const levels = [...new Set(Array.from({ length: 11 }, (_, k) => finite[Math.floor(((k + 1) / 12) * (finite.length - 1))]))];
  const x = (k) => px(x0 + ((x1 - x0) * k) / n), y = (k) => py(y0 + ((y1 - y0) * k) / n);
  pen.fillStyle = colour("accent");
  for (let i = 0; i <= n; i += 1) for (let j = 0; j <= n; j += 1) {
    const rank = levels.filter((level) => level < z[i * (n + 1) + j]).length;
    pen.globalAlpha = Number.isFinite(z[i * (n + 1) + j]) ? 0.05 + 0.4 * (rank / levels.length) : 0;
    // On whole pixels, so that no two lie over each other.
    const [a, b, c, d] = [x(j - 0.5), x(j + 0.5), y(i + 0.5), y(i - 0.5)].map(Math.round);
    pen.fillRect(a, c, b - a, d - c);
  }
  pen.globalAlpha = 0.8;
  pen.strokeStyle = colour("accent");
  pen.lineWidth = 0.8;
  pen.beginPath();
  for (let i = 0; i < n; i += 1) for (let j = 0; j < n; j += 1) {
    const corners = [[j, i], [j + 1, i], [j + 1, i + 1], [j, i + 1]];
    const heights = corners.map(([a, b]) => z[b * (n + 1) + a]);
    if (!heights.every(Number.isFinite)) continue;
    for (const level of levels) {
      const ends = [];
      heights.forEach((height, k) => {
        const other = heights[(k + 1) % 4];
        if (height < level === other < level) return;
        const share = (level - height) / (other - height), [a, b] = corners[k], [c, d] = corners[(k + 1) % 4];
        ends.push([x(a + (c - a) * share), y(b + (d - b) * share)]);
      });
      for (let k = 0; k + 1 < ends.length; k += 2) { pen.moveTo(...ends[k]); pen.lineTo(...ends[k + 1]); }
    }
  }
  pen.stroke();
  pen.globalAlpha = 1;
}

function tellAround(finite) {
  const axes = around.grid.axes.map(([value, cell], k) => `${cellName(value, cell)} = ${format(around.here[k])}`);
  const batch = run.varying ? `, for the ${run.varying} of this step` : "";
  const low = objective.maximize ? `at most ${format(finite[finite.length - 1] ?? NaN)}` : `at least ${format(finite[0] ?? NaN)}`;
  const text = `${nameOf(objective.value)} is ${format(around.top)} at ${axes.join(", ")}${batch}; around here it is ${low}.`;
  put(byId("around-text"), text);
  byId("around-canvas").setAttribute("aria-label", `${text} The arrow keys move there.`);
}

// Choosing and moving ---------------------------------------------------------------------------------------------

function moveAround(places, key) {
  const axes = around.axes.filter(Boolean);
  trying(() => edit(axes.map(([value, cell], k) => [value, cell, within(value, cell, Number(places[k].toPrecision(6)))]), key));
}

function chooseAxes() {
  const all = choices();
  around.axes = ["around-x", "around-y"].map((id) => all[Number(byId(id).value)] ?? null);
  around.zoom = 1;
  around.grid = null;
  showAround(true);
}

function zoomAround(factor) {
  around.zoom *= factor;
  showAround(true);
}

function watchAround() {
  const all = choices(), canvas = byId("around-canvas");
  if (!all.length) { byId("around").hidden = true; return; }
  byId("around-closer").addEventListener("click", () => zoomAround(0.7));
  byId("around-wider").addEventListener("click", () => zoomAround(1 / 0.7));
  for (const id of ["around-x", "around-y"]) {
    if (id === "around-y") byId(id).append(make("option", { value: -1 }, "nothing else"));
    byId(id).append(...all.map(([value, cell], k) => make("option", { value: k }, cellName(value, cell))));
    byId(id).addEventListener("change", chooseAxes);
  }
  byId("around-y").value = all.length > 1 ? 1 : -1;
  around.axes = [all[0], all[1] ?? null];
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button || !around.back) return;
    stop();
    canvas.setPointerCapture(event.pointerId);
    moveAround(around.back(event), `around ${drags += 1}`);
  });
  canvas.addEventListener("pointermove", (event) => { if (event.buttons && canvas.hasPointerCapture(event.pointerId)) moveAround(around.back(event), `around ${drags}`); });
  canvas.addEventListener("wheel", (event) => {
    if (document.activeElement !== canvas && !event.ctrlKey) return;
    event.preventDefault();
    zoomAround(Math.exp(Math.max(-60, Math.min(60, event.deltaY)) / 200));
  }, { passive: false });
  canvas.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowDown: [0, -1], ArrowUp: [0, 1] }[event.key];
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if ("+=-".includes(event.key)) zoomAround(event.key === "-" ? 1.25 : 0.8);
    else if (by) {
      stop();
      moveAround(around.here.map((x, k) => x + ((around.ranges[k][1] - around.ranges[k][0]) * by[k]) / (event.shiftKey ? 10 : 50)), "around by keys");
    } else return;
    event.preventDefault();
  });
  new IntersectionObserver(([entry]) => {
    around.isSeen = entry.isIntersecting;
    // What is out of sight is not worked on; it is begun anew.
    if (!around.isSeen && around.job) around.job = aroundShown = around.leaves = null;
    showAround();
  }).observe(canvas);
  new ResizeObserver(drawAround).observe(canvas);
}
