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

function buildCharts(count) {
  const groups = groupedSeries();
  const xs = data.other ? bothSteps() : state.course.history.steps;
  groups.slice(charts.length, count).forEach(({ series, lines }) => {
    const isMain = series.value === objective?.value;
    const readout = make("span", { class: "readout" });
    const title = make("h3", {}, isolated(series.name), readout);
    const host = make("div", { class: "plot", role: "img" });
    const card = make("div", { class: `card chart${isMain ? " wide" : ""}` }, title, host);
    card.setAttribute("data-name", series.name);
    byId("charts-body").append(card);
    const columns = lines.map((line) => (data.other ? onSteps(xs, line.steps ?? state.course.history.steps, line.column()) : line.column()));
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
  const spans = chart.lines.map((line, k) =>
    make("span", { class: `series-${k % 4}` }, `${line.label ? `${line.label} ` : ""}${chart.columns[k][at] === null ? "–" : format(chart.columns[k][at])}${k + 1 < chart.lines.length ? ", " : ""}`));
  chart.readout.replaceChildren(...spans, make("span", { class: "faint" }, ` at step ${whole(chart.xs[at])}`));
}

function plotDetails(value, host) {
  const all = [...Array(state.course.count).keys()];
  const xs = all.map(stepAt);
  // The parts of a value as columns over the rows.
  const over = (of) => (of(value, 0) ?? []).map((_, k) => all.map((row) => of(value, row)[k]));
  const add = (title, tone, columns, shape) => {
    const single = shape.length && !isSmall(shape) ? [columns[2]] : columns.slice(0, 4);
    const place = make("div", { class: "plot", role: "img", "aria-label": `Chart of the ${title} of ${nameOf(value)}` });
    host.append(make("h3", {}, `${title}${shape.length && !isSmall(shape) ? " (norm)" : ""} over the steps`), place);
    detailPlots.push(plot(place, xs, single, 104, () => {}, { tones: single.length === 1 ? [tone] : SERIES }));
  };
  const isConstant = (columns) => columns.every((column) => column.every((x) => Object.is(x, column[0])));
  const ofValue = over(valueAt), ofGradient = hasGradient(value) ? over(gradientAt) : [];
  if (!isConstant(ofValue)) add("value", "accent", ofValue, shapeOf(value));
  if (!isConstant(ofGradient)) add("gradient", "gradient", ofGradient, shapeOf(value));
}
