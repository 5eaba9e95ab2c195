// Frames open and fold: the insides of those that are open are put into each other, and what is around gives way.

const levelOf = new Map(scene.levels.map((level, k) => [level.frame, k]));
const opened = new Set(scene.open);
const canOpen = (box) => Boolean(box.group) && levelOf.has(box.name);

function setOpened(names) {
  opened.clear();
  names.forEach((name) => levelOf.has(name) && opened.add(name));
  const isAsDrawn = opened.size === scene.open.length && scene.open.every((name) => opened.has(name));
  view = isAsDrawn ? scene : composed();
  drawn = null;
  buildDrawing();
  showSoon();
}

function toggleFrame(name) {
  setOpened(opened.has(name) ? [...opened].filter((other) => other !== name) : [...opened, name]);
  const { values: inside } = scene.levels.flatMap((level) => level.boxes).find((box) => box.group && box.name === name);
  const next = drawn.boxes.find(({ box }) => box.values.some((value) => inside.includes(value)));
  next?.group.focus({ preventScroll: true });
  if (next) reveal([next.face]);
}

const frameAround = ({ center: [x, y] }) => drawn.plan.frames.reduce((found, [left, top, w, h], k) =>
  (x > left && x < left + w && y > top && y < top + h ? view.open[k] : found), null);

function composed() {
  const view = {};
  for (const direction of ["down", "right"].filter((name) => scene.levels[0][name])) {
    const { size, boxes, frames, lines } = placed(0, direction);
    Object.assign(view, { boxes: boxes.map((box) => box.box), lines: lines.map((line) => line.edges), frames: frames.map((frame) => frame.title), open: frames.map((frame) => frame.name) });
    view[direction] = { size, boxes: boxes.map((box) => box.rect), frames: frames.map((frame) => frame.rect), routes: lines };
  }
  return view;
}

// Where the places of an axis go when stretches of it, as [start, length, room], take more room: all stays in order.
function stretched(spans) {
  const cuts = [...new Set(spans.flatMap(([start, length]) => [start, start + length]))].sort((a, b) => a - b);
  const pieces = cuts.slice(1).map((end, k) => [cuts[k], end,
    spans.reduce((most, [start, length, room]) => (start <= cuts[k] && start + length >= end ? Math.max(most, room / length) : most), 1)]);
  return (x) => pieces.reduce((sum, [start, end, factor]) => sum + (factor - 1) * (Math.max(start, Math.min(end, x)) - start), x);
}

function placed(number, direction) {
  const level = scene.levels[number], plan = level[direction];
  const inner = level.boxes.map((box) => (canOpen(box) && opened.has(box.name) ? placed(levelOf.get(box.name), direction) : null));
  const [mapX, mapY] = [0, 1].map((axis) => stretched(plan.boxes.flatMap((rect, k) => (inner[k] ? [[rect[axis], rect[axis + 2], inner[k].size[axis]]] : []))));
  const rects = plan.boxes.map(([x, y, w, h], k) => {
    const [wide, high] = inner[k]?.size ?? [w, h];
    return [mapX(x + w / 2) - wide / 2, mapY(y + h / 2) - high / 2, wide, high];
  });
  const lines = level.lines.map((edges, number) => {
    const { points, label } = plan.routes[number], [from, to] = level.ends[number];
    const result = points.map((x, k) => (k % 2 ? mapY : mapX)(x));
    const place = [...label];
    // The ends stay where they were on the borders of their boxes.
    for (const [box, at, beside] of [[from, 0, 2], [to, points.length - 2, points.length - 4]]) {
      for (const axis of box < 0 ? [] : [0, 1]) {
        const old = plan.boxes[box], now = rects[box];
        const end = now[axis] + ((points[at + axis] - old[axis]) * now[axis + 2]) / old[axis + 2];
        result[beside + axis] += end - result[at + axis];
        result[at + axis] = end;
        if (at) place[axis] += end - points[at + axis];
      }
    }
    return { edges, points: result, label: place, from, to, labels: plan.labels, tip: to >= 0 && !inner[to] };
  });
  const boxes = [], frames = [], all = [...lines];
  level.boxes.forEach((box, k) => {
    if (!inner[k]) return boxes.push({ box, rect: rects[k] });
    const [left, top] = rects[k];
    const shift = ([x, y, ...size]) => [x + left, y + top, ...size];
    frames.push({ name: box.name, title: scene.levels[levelOf.get(box.name)].title, rect: rects[k] });
    frames.push(...inner[k].frames.map((frame) => ({ ...frame, rect: shift(frame.rect) })));
    boxes.push(...inner[k].boxes.map((one) => ({ ...one, rect: shift(one.rect) })));
    for (const line of inner[k].lines) {
      line.points = line.points.map((x, i) => x + (i % 2 ? top : left));
      line.label = shift(line.label);
      const outer = lines.find((other) => (line.from < 0 ? other.to : line.to < 0 ? other.from : null) === k && other.edges.includes(line.edges[0]));
      // The curve from the border on is drawn anew.
      if (outer && line.from < 0) line.points = [...bend(outer.points.slice(-2), line.points.slice(6), direction), ...line.points.slice(6)];
      else if (outer) line.points = [...line.points.slice(0, -8), ...bend(line.points.slice(-8, -6), outer.points, direction), ...outer.points.slice(0, 2)];
      line.from = line.to = 0;
      all.push(line);
    }
    return null;
  });
  return { size: [mapX(plan.size[0]), mapY(plan.size[1])], boxes, frames, lines: all };
}

// The beginning of a curve from a point to the first of others.
function bend([x, y], [endX, endY], direction) {
  const middle = direction === "right" ? (x + endX) / 2 : (y + endY) / 2;
  return direction === "right" ? [x, y, middle, y, middle, endY] : [x, y, x, middle, endX, middle];
}
