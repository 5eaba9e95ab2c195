// The charts of what is recorded.

const charts = [];
const SERIES = ["accent", "gradient", "faint", "edge"];
const DASHES = [[], [6, 4], [2, 3], [8, 3, 2, 3]];

const isPowerOfTen = (x) => Math.abs(Math.log10(x) - Math.round(Math.log10(x))) < 1e-9;
const powersOfTen = (_, splits) => splits.map((x) => (isPowerOfTen(x) ? x : null));

const plottable = (columns, isLog = false) => columns.map((column) => column.map((x) => (Number.isFinite(x) && !(isLog && x <= 0) ? x : null)));

function plot(host, xs, columns, height, onStep, { tones = SERIES, isLog = false } = {}) {
  const options = {
    width: Math.max(host.clientWidth, 120),
    height,
    legend: { show: false },
    padding: [8, 18, 0, 0],
    cursor: { drag: { x: false, y: false, setScale: false }, sync: { key: "steps", setSeries: false }, points: { size: 6 }, y: false },
    scales: { x: { time: false }, y: isLog ? { distr: 3 } : {} },
    axes: [
      { stroke: () => colour("faint"), grid: { stroke: () => colour("line"), width: 1 }, ticks: { show: false }, size: 26, font: "11px system-ui", incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 1e6, 1e7, 1e8, 1e9] },
      { stroke: () => colour("faint"), grid: { stroke: () => colour("line"), width: 1, ...(isLog ? { filter: powersOfTen } : {}) }, ticks: { show: false }, size: 56, font: "11px system-ui", values: (_, ticks) => ticks.map((x) => (x === null ? "" : format(x, 4))) },
    ],
    series: [{}, ...columns.map((_, k) => ({
      stroke: () => colour(tones[k % tones.length]), width: 1.6, dash: DASHES[k % 4], points: { show: (u) => u.data[0].length <= 30, size: 5 },
    }))],
    hooks: { setCursor: [(u) => onStep(u.cursor.idx)], draw: [(u) => u.now && moveNow(u)] },
  };
  const u = new uPlot(options, [xs, ...plottable(columns, isLog)], host);
  const now = make("div", { class: "now" });
  u.over.append(now);
  u.now = now;
  return u;
}

function moveNow(u) {
  u.now.style.transform = `translateX(${u.valToPos(stepAt(state.row), "x")}px)`;
}

function listen(u) {
  const go = (event) => {
    const [xs] = u.data;
    const index = u.posToIdx(event.clientX - u.over.getBoundingClientRect().left);
    goToStep(xs[Math.max(0, Math.min(xs.length - 1, index))]);
  };
  u.over.addEventListener("pointerdown", (event) => { stop(); go(event); u.over.setPointerCapture(event.pointerId); });
  u.over.addEventListener("pointermove", (event) => { if (event.buttons) go(event); });
}

function labelsOf(series) {
  if (!series.shape) return [""];
  if (!isSmall(series.shape)) return ["smallest", "largest", "norm"];
  return series.columns.map((_, k) => `[${placesOf(k, series.shape)}]`);
}

function placesOf(k, shape) {
  const places = [];
  for (const size of [...shape].reverse()) {
    places.unshift(k % size);
    k = Math.floor(k / size);
  }
  return places.join(",");
}

// A recorded value, with what it is on the rows held back.
function groupedSeries() {
  const { series: all } = state.course.history;
  return all.filter((series) => !series.holdout).map((series) => {
    const lines = series.columns.map((column, k) => ({ column, label: labelsOf(series)[k] }));
    const held = all.find((other) => other.holdout && other.name === series.name);
    for (const [k, column] of (held?.columns ?? []).entries()) lines.push({ column, label: `held back ${labelsOf(held)[k]}`.trim() });
    return { series, lines };
  });
}

const areAllPositive = (columns) => columns.every((column) => column.every((x) => !Number.isFinite(x) || x > 0));

function rebuildCharts() {
  const count = charts.length;
  charts.splice(0).forEach((chart) => chart.u.destroy());
  byId("charts-body").replaceChildren();
  buildCharts(count);
}

// A chart is narrower when the next one stands beside it.
function fitCharts() {
  const widths = charts.map((chart) => Math.max(chart.host.clientWidth, 120));
  charts.forEach((chart, k) => {
    if (chart.u.width !== widths[k]) chart.u.setSize({ width: widths[k], height: chart.height });
    moveNow(chart.u);
  });
}

function buildCharts(count) {
  const groups = groupedSeries();
  const xs = state.course.history.steps;
  groups.slice(charts.length, count).forEach(({ series, lines }) => {
    const isMain = series.value === objective?.value;
    const readout = make("span", { class: "readout" });
    const title = make("h3", {}, isolated(series.name), readout);
    const host = make("div", { class: "plot", role: "img" });
    const card = make("div", { class: `card chart${isMain ? " wide" : ""}` }, title, host);
    card.setAttribute("data-name", series.name);
    byId("charts-body").append(card);
    const columns = lines.map((line) => line.column());
    const chart = { host, lines, xs, columns, readout, height: isMain ? 200 : 150, name: series.name };
    const first = columns[0] ?? [], last = xs.length - 1;
    host.setAttribute("aria-label", `Chart of ${series.name}: ${format(first[0])} at step ${xs[0]}, ${format(first[last])} at step ${xs[last]}`);
    chart.isLog = byId("log").checked && areAllPositive(columns);
    chart.u = plot(host, xs, columns, chart.height, (index) => showReadout(chart, index), { isLog: chart.isLog });
    listen(chart.u);
    charts.push(chart);
    moveNow(chart.u);
    showReadout(chart, null);
  });
  fitCharts();
  const left = groups.length - charts.length;
  byId("more-charts").hidden = left <= 0;
  put(byId("more-charts"), `Show ${Math.min(left, 12)} of ${left} more charts`);
}

function showReadout(chart, index) {
  const at = index ?? indexOfStep(chart.xs, stepAt(state.row));
  const spans = chart.lines.map((line, k) =>
    make("span", { class: `series-${k % 4}` }, `${line.label ? `${line.label} ` : ""}${format(chart.columns[k][at])}${k + 1 < chart.lines.length ? ", " : ""}`));
  chart.readout.replaceChildren(...spans, make("span", { class: "faint" }, ` at step ${whole(chart.xs[at])}`));
}

// The last one that is not after a step.
function indexOfStep(steps, step) {
  let low = 0, high = steps.length - 1;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (steps[middle] <= step) low = middle;
    else high = middle - 1;
  }
  return low;
}

// What is plotted of a value: its parts over the rows, where they change.
function seriesOf(value) {
  const rowsShown = [...Array(state.course.count).keys()];
  const shape = shapeOf(value), isNorm = shape.length > 0 && !isSmall(shape);
  const over = (of) => (of(value, 0) ?? []).map((_, k) => rowsShown.map((row) => of(value, row)[k]));
  const found = [["value", "accent", over(valueAt)], ["gradient", "gradient", hasGradient(value) ? over(gradientAt) : []]]
    .filter(([, , columns]) => !columns.every((column) => column.every((x) => Object.is(x, column[0]))))
    .map(([title, tone, columns]) => ({ title: `${title}${isNorm ? " (norm)" : ""}`, tone, columns: isNorm ? [columns[2]] : columns.slice(0, 4) }));
  return { xs: rowsShown.map(stepAt), found };
}

function plotDetails() {
  const { value, host } = plotted, { xs, found } = seriesOf(value);
  if (detailPlots.length && String(detailPlots.map((u) => u.title)) === String(found.map(({ title }) => title)) && host.childElementCount) {
    detailPlots.forEach((u, k) => u.setData([xs, ...plottable(found[k].columns)]));
    return;
  }
  detailPlots.splice(0).forEach((u) => u.destroy());
  host.replaceChildren();
  for (const { title, tone, columns } of found) {
    const place = make("div", { class: "plot", role: "img", "aria-label": `Chart of the ${title} of ${nameOf(value)}` });
    host.append(make("h3", {}, `${title} over the steps`), place);
    const u = plot(place, xs, columns, 104, () => {}, { tones: columns.length === 1 ? [tone] : SERIES });
    u.title = title;
    listen(u);
    moveNow(u);
    detailPlots.push(u);
  }
}

let plottedVersion = 0, plotTime = 0, isPlotWaiting = false;

// The charts of another course; where that takes long, not in each frame of a drag.
function refreshPlots(isLate = false) {
  if (plottedVersion === version || (isPlotWaiting && !isLate)) return;
  if (plotTime > 6 && !isLate) {
    isPlotWaiting = true;
    setTimeout(() => refreshPlots(true), 3 * plotTime);
    return;
  }
  const begun = performance.now();
  isPlotWaiting = false;
  plottedVersion = version;
  const { steps } = state.course.history;
  if (steps.length > 1 && !charts.length) showCharts();
  const groups = charts.length ? groupedSeries() : [];
  charts.forEach((chart, k) => {
    Object.assign(chart, { xs: steps, lines: groups[k].lines, columns: groups[k].lines.map((line) => line.column()) });
    chart.u.setData([steps, ...plottable(chart.columns, chart.isLog)]);
    moveNow(chart.u);
    showReadout(chart, null);
  });
  plotDetails();
  detailPlots.forEach(moveNow);
  plotTime = performance.now() - begun;
}

function showCharts() {
  const { steps, series } = state.course.history;
  byId("charts").hidden = steps.length < 2 || !series.length;
  if (!byId("charts").hidden) buildCharts(SHOWN_CHARTS);
}
