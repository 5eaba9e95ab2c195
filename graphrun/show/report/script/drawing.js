// The drawing, and what each moment shows on it.

let drawn = null;
let view = scene;
const boxOf = new Map();

// A folded group shows its own value, the one that leaves it; a box of neighbours the range and the norm of all.
const faceOf = (box) => (box.group ? box.face ?? box.values[0] : box.values[0]);
const hasFace = (box) => !box.group || box.face !== undefined;
const isAllOf = (box, is) => (hasFace(box) ? is(faceOf(box)) : box.values.every((value) => is(value)));

function valueIn(box, row) {
  if (hasFace(box)) return brief(valueAt(faceOf(box), row), shapeOf(faceOf(box)));
  return rangeOf(box.values.map((value) => valueAt(value, row)), box.values.map(shapeOf));
}

function gradientIn(box, row) {
  const own = (hasFace(box) ? [faceOf(box)] : box.values).filter((value) => hasGradient(value) && (isNode(value) || isParameter(value)));
  if (!own.length) return "";
  if (hasFace(box)) return `grad ${brief(gradientAt(own[0], row), shapeOf(own[0]))}`;
  return `grad ‖${format(normOf(own.map((value) => gradientAt(value, row)), own.map(shapeOf)), 4)}‖`;
}

function buildDrawing() {
  const host = byId("drawing");
  const isRight = view.right && view.right.size[0] * SMALLEST <= host.clientWidth;
  const name = isRight ? "right" : "down";
  if (drawn?.name === name) return;
  const plan = view[name];
  const [width, height] = plan.size;
  const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": "The graph; up and down move from value to value" });
  plan.frames.forEach(([x, y, w, h]) => svg.append(draw("g", { class: "frame" }, draw("rect", { x, y, width: w, height: h, rx: 8 }))));
  const lines = view.lines.map((line, k) => {
    const { points, label, tip = true, labels = plan.labels } = plan.routes[k];
    const text = draw("text", { x: label[0], y: label[1] });
    const paper = draw("rect", { y: label[1] - 9, height: 18, rx: 4, width: 0 });
    const d = pathOf(points);
    const group = draw("g", { class: "line" }, draw("path", { class: "near-by", d }), draw("path", { d }), ...(tip ? [draw("path", { class: "head", d: headOf(points) })] : []));
    svg.append(group);
    return watchLine({ group, text, paper, middle: label[0], edges: line, tip, labels });
  });
  // After the lines, so that none runs through a title.
  plan.frames.forEach(([x, y], k) => svg.append(draw("g", { class: "frame" }, draw("text", { x: x + 10, y: y + 11 }, view.frames[k]))));
  boxOf.clear();
  view.boxes.forEach((box, k) => box.values.forEach((value) => boxOf.set(value, k)));
  const boxes = view.boxes.map((box, k) => buildBox(box, k, plan.boxes[k]));
  boxes.forEach((box) => svg.append(box.group));
  if (scene.levels) plan.frames.forEach((place, k) => svg.append(folder(view.open[k], place, "−")));
  if (scene.levels) boxes.forEach(({ box }, k) => canOpen(box) && svg.append(folder(box.name, plan.boxes[k], "+")));
  lines.forEach((line) => svg.append(draw("g", { class: "line" }, line.paper, line.text)));
  host.replaceChildren(svg);
  drawn = { name, svg, lines, boxes, width, height, plan };
  fit();
}

function buildBox(box, index, [x, y, w, h]) {
  const face = faceOf(box);
  const kind = box.group ? "group" : values[face].kind;
  const isObjective = isTraining && box.values.includes(objective.value);
  const radius = box.group ? 4 : kind === "parameter" ? Math.min(h / 2, 18) : isNode(face) ? 6 : 2;
  const middle = x + w / 2;
  const lines = box.rows.length + 1 + (isTraining && (box.group || isNode(face) || isParameter(face)) ? 1 : 0);
  const text = (line, tone, ...spans) => draw("text", { x: middle, y: y + h / 2 + (line - (lines - 1) / 2) * 17, "text-anchor": "middle", class: tone }, ...spans);
  const head = box.rows.map(([strong, plain], k) => text(k, "head-text",
    ...(strong ? [draw("tspan", { class: "title" }, strong)] : []),
    ...(plain ? [draw("tspan", { class: "formula", ...(strong ? { dx: 5 } : {}) }, isNode(face) || box.group ? typeset(plain) : plain.replace(/(\d)x(?=\d)/g, "$1×"))] : [])));
  const texts = [...head, text(box.rows.length, "value-text own"), text(box.rows.length + 1, "gradient-text")];
  const rect = (grow, extra) => draw("rect", { x: x - grow, y: y - grow, width: w + 2 * grow, height: h + 2 * grow, rx: radius + grow, ...extra });
  const group = draw("g", { class: `box ${kind}${isObjective ? " objective" : ""}${isInDrawing(box, face) ? " editable" : ""}`, tabindex: -1, role: "button" },
    rect(4, { class: "ring" }), rect(0, { class: "shape" }), ...texts);
  group.setAttribute("data-name", box.name);
  group.setAttribute("aria-label", box.name);
  group.addEventListener("click", () => select(face));
  group.addEventListener("focus", () => select(face));
  group.addEventListener("pointerenter", (event) => { if (event.pointerType === "mouse") point(face); });
  group.addEventListener("pointerleave", () => point(null));
  return { group, box, face, index, value: texts[head.length], gradient: texts[head.length + 1], center: [middle, y + h / 2] };
}

// What opens a folded box, or folds a frame; by keyboard, Enter and Backspace on a box do it.
function folder(name, [x, y, w], sign) {
  const [word, left, top] = sign === "+" ? ["Open", x + w - 19, y + 3] : ["Fold", x - 8, y - 8];
  const button = draw("g", { class: "folder", role: "button", "aria-label": `${word} ${name}` },
    draw("rect", { x: left, y: top, width: 16, height: 16, rx: 4 }), draw("text", { x: left + 8, y: top + 8, "text-anchor": "middle" }, sign));
  button.addEventListener("click", () => toggleFrame(name));
  return button;
}

function pathOf(points) {
  let path = `M${points[0]} ${points[1]}`;
  for (let k = 2; k < points.length; k += 6) path += `C${points.slice(k, k + 6).join(" ")}`;
  return path;
}

function headOf(points) {
  const [x, y] = points.slice(-2);
  let [fromX, fromY] = points.slice(-4, -2);
  if (fromX === x && fromY === y) [fromX, fromY] = points.slice(-6, -4);
  const angle = Math.atan2(y - fromY, x - fromX), size = 8;
  const corner = (turn) => `${(x - size * Math.cos(angle + turn)).toFixed(1)} ${(y - size * Math.sin(angle + turn)).toFixed(1)}`;
  return `M${x} ${y}L${corner(0.4)}L${corner(-0.4)}Z`;
}

function showDrawing() {
  const { row, moment: place } = state;
  const moment = moments[place];
  const updates = moment.phase === UPDATE && nextStep(row) >= 0;
  const active = new Set(moment.nodes);
  if (moment.seed) active.add(objective.value);
  if (updates) values.forEach((_, value) => { if (isParameter(value)) active.add(value); });
  const completed = moment.phase === BACKWARD ? new Set(completedIn(place)) : new Set();
  const phase = moment.phase === UPDATE ? FORWARD : moment.phase;
  const near = shown(), isFew = drawn.boxes.length <= 100;
  for (const { group, box, face, value, gradient } of drawn.boxes) {
    const computed = isAllOf(box, isComputed), derived = isAllOf(box, (v) => !hasGradient(v) || isDerived(v));
    const isActive = box.values.some((v) => active.has(v));
    const isReached = box.values.some((v) => completed.has(v));
    put(value, computed ? (blankAt("values", face) ?? valueIn(box, row)) : "");
    if (updates && isParameter(face) && hasFace(box)) {
      const after = valueAfter(face, row);
      const move = moveAt(face, row);
      // Where a parameter goes tells its derivative.
      put(gradient, blankAt("derivatives", face) ? "→ ?" : after ? `→ ${brief(after, shapeOf(face))}` : `Δ ${brief(move, shapeOf(face), 4)}`);
      setTo(gradient, "class", "value-text");
    } else {
      setTo(gradient, "class", "gradient-text");
      put(gradient, derived ? (blankAt("derivatives", face) ? "grad ?" : gradientIn(box, row)) : "");
    }
    for (const text of [value, gradient]) setFlag(text, "data-bad", /NaN|∞/.test(lastTexts.get(text) ?? ""));
    group.classList.toggle("waiting", !computed);
    group.classList.toggle("forward", isActive && phase === FORWARD);
    group.classList.toggle("backward", (isActive || isReached) && phase === BACKWARD);
    group.classList.toggle("selected", box.values.includes(near));
    const isSelected = box.values.includes(state.selected);
    setTo(group, "tabindex", isSelected ? 0 : -1);
    setTo(group, "aria-pressed", isSelected);
    setTo(group, "aria-label", isFew || isSelected ? spoken(box, face) : box.name);
  }
  const live = new Set(moment.edges);
  for (const { group, text, paper, middle, edges: own, tip, labels } of drawn.lines) {
    const isLive = own.some((edge) => live.has(edge));
    const isNear = state.line ? state.line === own : own.some((edge) => edges[edge][0] === near || edges[edge][1] === near);
    group.classList.toggle("forward", isLive && moment.phase === FORWARD);
    group.classList.toggle("backward", isLive && moment.phase === BACKWARD);
    group.classList.toggle("near", isNear);
    const isShown = tip && place >= seedMoment && (labels !== "none" || isLive || isNear) && moment.phase !== FORWARD;
    const label = isShown ? edgeLabel(own, place, row, labels) : "";
    if (!put(text, label)) continue;
    const width = label ? 6.6 * label.length + 8 : 0;
    paper.setAttribute("x", middle - width / 2);
    paper.setAttribute("width", width);
  }
  showTabOfLines();
}

// Upstream times local derivative is the contribution.
function edgeLabel(own, place, row, labels) {
  const passed = own.filter((edge) => carries(edge) && edgeMoment[edge] <= place);
  if (passed.length !== 1) return "";
  const [edge] = passed;
  if (isEdgeBlank(edge)) return "?";
  const [source, target] = edges[edge];
  const local = localAt(edge, row);
  const result = brief(contributionAt(edge, row), shapeOf(source), 3);
  if (!local || shapeOf(target).length || state.sheet || labels !== "product") return result;
  const product = `${format(gradientAt(target, row)[0], 3)} · ${inParentheses(format(local[0], 3))} = ${result}`;
  return product.length <= LONGEST_LABEL ? product : result;
}

function spoken(box, face) {
  const parts = [box.name, box.group ? `${box.values.length} values` : values[face].type ?? values[face].kind];
  if (!hasFace(box)) return [...parts, isAllOf(box, isComputed) ? valueIn(box, state.row) : ""].filter(Boolean).join(", ");
  if (isComputed(face)) parts.push(`value ${blankAt("values", face) ?? describe(valueAt(face, state.row), shapeOf(face))}`);
  if (isDerived(face)) parts.push(`gradient ${blankAt("derivatives", face) ?? describe(gradientAt(face, state.row), shapeOf(face))}`);
  return parts.join(", ");
}

// The whole drawing where it can be read like that, else as wide as there is room for.
function fit(isWhole = false) {
  const host = byId("drawing");
  const inWidth = (host.clientWidth - 2) / drawn.width;
  const whole = Math.min(inWidth, (Math.min(window.innerHeight * 0.62, 640) - 4) / drawn.height);
  zoomTo(Math.min(1.25, isWhole || whole > 0.75 ? whole : Math.max(SMALLEST, Math.min(inWidth, 0.95))));
  state.fitted = !isWhole;
}

function zoomTo(zoom) {
  state.zoom = Math.min(3, Math.max(0.08, zoom));
  state.fitted = false;
  drawn.svg.setAttribute("width", drawn.width * state.zoom);
  drawn.svg.setAttribute("height", drawn.height * state.zoom);
  showOverview();
}

// Bring boxes of the drawing into view, without moving the page.
function reveal(faces) {
  const host = byId("drawing");
  const wanted = drawn.boxes.filter((box) => box.box.values.some((v) => faces.includes(v)));
  if (!wanted.length || (host.scrollWidth <= host.clientWidth && host.scrollHeight <= host.clientHeight)) return;
  const frame = host.getBoundingClientRect();
  const places = wanted.map((box) => box.group.getBoundingClientRect());
  if (places.some((p) => p.left >= frame.left && p.right <= frame.right && p.top >= frame.top && p.bottom <= frame.bottom)) return;
  const [x, y] = wanted[0].center;
  const top = y * state.zoom - host.clientHeight / 2, left = x * state.zoom - host.clientWidth / 2;
  host.scrollTo({ left, top, behavior: isCalm() ? "auto" : "smooth" });
}

const isCalm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
