// A chart of lines over the steps, as SVG; those that are pointed at point at the same step.

const MARGIN = { left: 56, right: 18, top: 8, bottom: 26 };
const DASHES = ["none", "6 4", "2 3", "8 3 2 3"];
const SERIES = ["accent", "gradient", "faint", "edge"];
const FEW_POINTS = 30;
const plots = new Set();

// Round numbers between two ends, so many at most.
function ticksBetween(low, high, most, isWhole = false) {
  const rough = high / most - low / most, power = 10 ** Math.floor(Math.log10(rough));
  const size = power * [1, 2, 5, 10].find((times) => times * power >= rough * (1 - 1e-9));
  const step = isWhole ? Math.max(1, size) : size;
  const first = Math.ceil(low / step - 1e-9), ticks = [];
  for (let k = first; k * step <= high + 1e-9 * step && ticks.length < 50; k += 1) ticks.push(Number((k * step).toPrecision(12)));
  // At the largest number there is, the next one is infinite.
  return ticks.filter(Number.isFinite);
}

function powersBetween(low, high) {
  const first = Math.ceil(Math.log10(low) - 1e-9), last = Math.floor(Math.log10(high) + 1e-9);
  const by = Math.max(1, Math.ceil((last - first) / 5));
  return last > first ? Array.from({ length: Math.floor((last - first) / by) + 1 }, (_, k) => 10 ** (first + by * k)) : ticksBetween(low, high, 3);
}

// The ends of an axis: those of the numbers, with some room around them.
function endsOf(columns, isLog) {
  let low = Infinity, high = -Infinity;
  for (const column of columns) {
    for (const x of column) {
      if (!Number.isFinite(x) || (isLog && x <= 0)) continue;
      if (x < low) low = x;
      if (x > high) high = x;
    }
  }
  if (low > high) return isLog ? [1, 10] : [0, 1];
  if (isLog) return low === high ? [low / 2, high * 2] : [low, high];
  const room = low === high ? Math.abs(low) / 10 || 1 : (high / 2 - low / 2) * 0.1;
  return [low - room, high + room].map((x) => Math.max(-Number.MAX_VALUE, Math.min(Number.MAX_VALUE, x)));
}

function plot(host, xs, columns, height, onPoint, { tones = SERIES, dashes = DASHES, isLog = false } = {}) {
  const grid = draw("g", { class: "grid" }), lines = draw("g", { class: "lines" });
  const cursor = draw("line", { class: "cursor", y1: 0 }), now = draw("line", { class: "now", y1: 0 }), over = draw("rect", { class: "over" });
  const area = draw("g", { transform: `translate(${MARGIN.left} ${MARGIN.top})` }, grid, lines, cursor, now, over);
  const svg = draw("svg", { height }, area);
  const chart = { width: 0, over, xs };
  let wide = 1, high = 1, ends = [0, 1], pointed = null, shownStep = null;
  const across = (x) => (xs.length > 1 ? ((x - xs[0]) / (xs[xs.length - 1] - xs[0])) * wide : wide / 2);
  const scaled = isLog ? Math.log10 : (y) => y / 2;
  const down = (y) => high * (1 - (scaled(y) - scaled(ends[0])) / (scaled(ends[1]) - scaled(ends[0])));
  const at = (line, x) => { line.style.transform = `translateX(${across(x)}px)`; };

  function render() {
    wide = Math.max(chart.width - MARGIN.left - MARGIN.right, 20);
    high = height - MARGIN.top - MARGIN.bottom;
    ends = endsOf(columns, isLog);
    svg.setAttribute("width", chart.width);
    svg.setAttribute("viewBox", `0 0 ${chart.width} ${height}`);
    for (const line of [cursor, now]) line.setAttribute("y2", high);
    over.setAttribute("width", wide);
    over.setAttribute("height", high);
    const sideways = (isLog ? powersBetween(...ends) : ticksBetween(...ends, Math.max(2, Math.floor(high / 24)))).flatMap((y) => [
      draw("line", { x2: wide, y1: down(y), y2: down(y) }), draw("text", { x: -8, y: down(y), class: "side" }, format(y, 4))]);
    const steps = xs.length > 1 ? ticksBetween(xs[0], xs[xs.length - 1], Math.max(2, Math.floor(wide / 80)), true) : xs.slice(0, 1);
    grid.replaceChildren(...sideways, ...steps.flatMap((x) => [
      draw("line", { x1: across(x), x2: across(x), y2: high }), draw("text", { x: across(x), y: high + 16 }, format(x, 9))]));
    lines.replaceChildren(...columns.flatMap((column, k) => {
      let path = "", isOpen = false;
      const points = [];
      column.forEach((y, place) => {
        // Of two runs only one may have a row of this step.
        if (y === null) return;
        const isThere = Number.isFinite(y) && !(isLog && y <= 0);
        if (isThere) {
          const [left, top] = [across(xs[place]).toFixed(1), down(y).toFixed(1)];
          path += `${isOpen ? "L" : "M"}${left} ${top}`;
          if (xs.length <= FEW_POINTS) points.push(draw("circle", { cx: left, cy: top, r: 2.5, class: tones[k % tones.length] }));
        }
        isOpen = isThere;
      });
      return [draw("path", { d: path, class: tones[k % tones.length], "stroke-dasharray": dashes[k % dashes.length] }), ...points];
    }));
    if (shownStep !== null) at(now, shownStep);
  }

  Object.assign(chart, {
    setSize(width) { chart.width = width; render(); },
    setData(newXs, newColumns) { xs = chart.xs = newXs; columns = newColumns; render(); },
    moveTo(step) { shownStep = step; at(now, Math.max(xs[0] ?? 0, Math.min(step, xs[xs.length - 1] ?? 0))); },
    indexAt: (clientX) => indexOfNearest(xs, xs[0] + ((clientX - over.getBoundingClientRect().left) / wide) * (xs[xs.length - 1] - xs[0])),
    point(step) {
      pointed = step === null ? null : indexOfNearest(xs, step);
      svg.classList.toggle("pointed", pointed !== null);
      if (pointed !== null) at(cursor, xs[pointed]);
      onPoint(pointed);
    },
    destroy() { plots.delete(chart); svg.remove(); },
  });
  const pointAt = (step) => plots.forEach((other) => other.point(step));
  const go = (event) => goToStep(xs[chart.indexAt(event.clientX)]);
  over.addEventListener("pointerdown", (event) => { stop(); go(event); over.setPointerCapture(event.pointerId); });
  over.addEventListener("pointermove", (event) => {
    pointAt(xs[chart.indexAt(event.clientX)]);
    if (event.buttons) go(event);
  });
  over.addEventListener("pointerleave", () => pointAt(null));
  host.append(svg);
  plots.add(chart);
  chart.setSize(Math.max(host.clientWidth, 120));
  return chart;
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

function indexOfNearest(steps, step) {
  const before = indexOfStep(steps, step), after = Math.min(before + 1, steps.length - 1);
  return steps[after] - step < step - steps[before] ? after : before;
}

// A column of one run on the steps of several; nothing where it has none.
function onSteps(xs, steps, column) {
  const at = new Map(steps.map((step, k) => [step, column[k]]));
  return xs.map((x) => at.get(x) ?? null);
}
