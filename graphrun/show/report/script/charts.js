// The charts of what is recorded.

const charts = [];

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
    if (data.other) lines.push(...otherLines(series, labelsOf(series)));
    return { series, lines };
  });
}

const areAllPositive = (columns) => columns.every((column) => column.every((x) => !Number.isFinite(x) || x > 0));

function rebuildCharts() {
  const count = charts.length;
  charts.splice(0).forEach((chart) => chart.plot.destroy());
  byId("charts-body").replaceChildren();
  buildCharts(count);
}

// A chart is narrower when the next one stands beside it.
function fitCharts() {
  const widths = charts.map((chart) => Math.max(chart.host.clientWidth, 120));
  charts.forEach((chart, k) => {
    if (chart.plot.width !== widths[k]) chart.plot.setSize(widths[k]);
  });
}

const stepsOfCharts = () => (data.other ? bothSteps() : state.course.history.steps);
const columnsOn = (xs, lines) => lines.map((line) => (data.other ? onSteps(xs, line.steps ?? state.course.history.steps, line.column()) : line.column()));

function buildCharts(count) {
  const groups = groupedSeries();
  const xs = stepsOfCharts();
  groups.slice(charts.length, count).forEach(({ series, lines }) => {
    const isMain = series.value === objective?.value;
    const readout = make("span", { class: "readout" });
    const title = make("h3", {}, isolated(series.name), readout);
    const host = make("div", { class: "plot", role: "img" });
    const card = make("div", { class: `card chart${isMain ? " wide" : ""}` }, title, host);
    card.setAttribute("data-name", series.name);
    byId("charts-body").append(card);
    const columns = columnsOn(xs, lines);
    const chart = { host, lines, xs, columns, readout, height: isMain ? 200 : 150, name: series.name };
    const first = columns[0] ?? [], last = xs.length - 1;
    host.setAttribute("aria-label", `Chart of ${series.name}: ${format(first[0])} at step ${xs[0]}, ${format(first[last])} at step ${xs[last]}`);
    chart.plot = plot(host, xs, columns, chart.height, (index) => showReadout(chart, index), { isLog: byId("log").checked && areAllPositive(columns) });
    charts.push(chart);
    chart.plot.moveTo(stepAt(state.row));
    showReadout(chart, null);
  });
  fitCharts();
  const left = groups.length - charts.length;
  byId("more-charts").hidden = left <= 0;
  put(byId("more-charts"), `Show ${Math.min(left, 12)} of ${left} more charts`);
}

function showReadout(chart, index) {
  const at = index ?? indexOfStep(chart.xs, stepAt(state.row));
  if (!chart.readout.childElementCount) chart.readout.append(...chart.lines.map((_, k) => make("span", { class: `series-${k % 4}` })), make("span", { class: "faint" }));
  const { children } = chart.readout;
  chart.lines.forEach((line, k) => put(children[k], `${line.label ? `${line.label} ` : ""}${chart.columns[k][at] === null ? "–" : format(chart.columns[k][at])}${k + 1 < chart.lines.length ? ", " : ""}`));
  put(children[chart.lines.length], ` at step ${whole(chart.xs[at])}`);
}

// What is plotted of a value: its parts over the rows, where they change.
function seriesOf(value) {
  const all = [...Array(state.course.count).keys()], shape = shapeOf(value), isNorm = shape.length > 0 && !isSmall(shape);
  const over = (of) => (of(value, 0) ?? []).map((_, k) => all.map((row) => of(value, row)[k]));
  return [["value", "accent", over(valueAt)], ["gradient", "gradient", hasGradient(value) ? over(gradientAt) : []]]
    .filter(([, , columns]) => !columns.every((column) => column.every((x) => Object.is(x, column[0]))))
    .map(([title, tone, columns]) => ({ title: `${title}${isNorm ? " (norm)" : ""}`, tone, columns: isNorm ? [columns[2]] : columns.slice(0, 4) }));
}

function plotDetails() {
  const { value, host } = plotted, found = seriesOf(value), xs = Array.from({ length: state.course.count }, (_, row) => stepAt(row));
  if (String(detailPlots.map((chart) => chart.title)) === String(found.map(({ title }) => title)) && host.childElementCount) {
    detailPlots.forEach((chart, k) => chart.setData(xs, found[k].columns));
    return;
  }
  detailPlots.splice(0).forEach((chart) => chart.destroy());
  host.replaceChildren();
  for (const { title, tone, columns } of found) {
    const place = make("div", { class: "plot", role: "img", "aria-label": `Chart of the ${title} of ${nameOf(value)}` });
    host.append(make("h3", {}, `${title} over the steps`), place);
    detailPlots.push(Object.assign(plot(place, xs, columns, 104, () => {}, { tones: columns.length === 1 ? [tone] : SERIES }), { title }));
  }
}

let areChartsSeen = true;
new IntersectionObserver(([entry]) => { areChartsSeen = entry.isIntersecting; }).observe(byId("charts-body"));
let plottedVersion = 0, plotTime = 0, isPlotWaiting = false;

// The charts of another course; out of sight, or where that takes long, not in each frame of a drag.
function refreshPlots(isLate = false) {
  if (plottedVersion === version || (isPlotWaiting && !isLate)) return;
  if (!isLate && charts.length && (plotTime > 6 || !areChartsSeen)) {
    isPlotWaiting = true;
    setTimeout(() => refreshPlots(true), Math.max(100, 3 * plotTime));
    return;
  }
  const begun = performance.now();
  isPlotWaiting = false;
  plottedVersion = version;
  if (!charts.length) showCharts();
  const groups = charts.length ? groupedSeries() : [], xs = stepsOfCharts();
  charts.forEach((chart, k) => {
    Object.assign(chart, { xs, lines: groups[k].lines, columns: columnsOn(xs, groups[k].lines) });
    chart.plot.setData(xs, chart.columns);
  });
  if (isLate) movePlots();
  plotTime = performance.now() - begun;
}

function movePlots() {
  for (const chart of charts) {
    chart.plot.moveTo(stepAt(state.row));
    showReadout(chart, null);
  }
  detailPlots.forEach((chart) => chart.moveTo(stepAt(state.row)));
}

function showCharts() {
  const { steps, series } = state.course.history;
  byId("charts").hidden = steps.length < 2 || !series.length;
  if (!byId("charts").hidden) buildCharts(SHOWN_CHARTS);
}
