// Moving about in the drawing, the small map of it, and lines that can be pointed at.

// The point under the pointer stays where it is.
function zoomAt(zoom, x, y) {
  const before = drawn.svg.getBoundingClientRect(), old = state.zoom;
  zoomTo(zoom);
  const after = drawn.svg.getBoundingClientRect(), grown = state.zoom / old;
  byId("drawing").scrollBy(after.left + (x - before.left) * grown - x, after.top + (y - before.top) * grown - y);
}

function zoomBy(factor) {
  const { left, top, width, height } = byId("drawing").getBoundingClientRect();
  zoomAt(state.zoom * factor, left + width / 2, top + height / 2);
}

const isLarger = (host) => host.scrollWidth > host.clientWidth + 1 || host.scrollHeight > host.clientHeight + 1;

function showOverview() {
  const host = byId("drawing"), map = byId("overview"), isShown = isLarger(host);
  map.toggleAttribute("hidden", !isShown);
  host.classList.toggle("larger", isShown);
  if (!isShown) return;
  if (map.drawn !== drawn) {
    map.drawn = drawn;
    map.setAttribute("viewBox", `0 0 ${drawn.width} ${drawn.height}`);
    const room = Math.min(140, host.clientWidth / 4), size = Math.min(room / drawn.width, (0.7 * room) / drawn.height);
    map.setAttribute("width", drawn.width * size);
    map.setAttribute("height", drawn.height * size);
    map.replaceChildren(...drawn.plan.boxes.map(([x, y, width, height]) => draw("rect", { x, y, width, height })), draw("rect", { class: "window" }));
  }
  const outer = host.getBoundingClientRect(), inner = drawn.svg.getBoundingClientRect();
  const place = { x: outer.left - inner.left, y: outer.top - inner.top, width: host.clientWidth, height: host.clientHeight };
  for (const [name, length] of Object.entries(place)) map.lastChild.setAttribute(name, length / state.zoom);
}

function watchDrawing() {
  const host = byId("drawing"), map = byId("overview");
  let from = null, pinch = null;
  host.addEventListener("scroll", showOverview);
  host.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    zoomAt(state.zoom * Math.exp(Math.max(-20, Math.min(20, -event.deltaY)) / 100), event.clientX, event.clientY);
  }, { passive: false });
  host.addEventListener("pointerdown", (event) => {
    if (event.button || event.pointerType === "touch" || !isLarger(host)) return;
    from = { x: event.clientX + host.scrollLeft, y: event.clientY + host.scrollTop, startX: event.clientX, startY: event.clientY };
  });
  host.addEventListener("pointermove", (event) => {
    if (!from || !event.buttons) return;
    if (!from.moves && Math.hypot(event.clientX - from.startX, event.clientY - from.startY) < 5) return;
    // What was a press becomes a drag: no box is selected by it.
    if (!from.moves) host.setPointerCapture(event.pointerId);
    from.moves = true;
    host.scrollTo(from.x - event.clientX, from.y - event.clientY);
  });
  ["pointerup", "pointercancel"].forEach((name) => host.addEventListener(name, () => { from = null; }));
  const spread = ([a, b]) => ({ size: Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY), x: (a.clientX + b.clientX) / 2, y: (a.clientY + b.clientY) / 2 });
  host.addEventListener("touchstart", ({ touches }) => { pinch = touches.length === 2 ? { ...spread(touches), zoom: state.zoom } : null; });
  host.addEventListener("touchmove", (event) => {
    if (!pinch || event.touches.length !== 2) return;
    event.preventDefault();
    const { size, x, y } = spread(event.touches);
    zoomAt((pinch.zoom * size) / pinch.size, x, y);
  }, { passive: false });
  host.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const box = drawn.boxes.find(({ group }) => group === event.target);
    const act = {
      Enter: scene.levels && box && canOpen(box.box) ? () => toggleFrame(box.box.name) : null,
      Backspace: scene.levels && box && frameAround(box) ? () => toggleFrame(frameAround(box)) : null,
    }[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });
  const jump = (event) => {
    const { left, top, width, height } = map.getBoundingClientRect();
    host.scrollTo(((event.clientX - left) / width) * drawn.width * state.zoom - host.clientWidth / 2, ((event.clientY - top) / height) * drawn.height * state.zoom - host.clientHeight / 2);
  };
  map.addEventListener("pointerdown", (event) => { map.setPointerCapture(event.pointerId); jump(event); });
  map.addEventListener("pointermove", (event) => { if (event.buttons) jump(event); });
  roving(host, linesInOrder);
}

// Lines -----------------------------------------------------------------------------------------------------------

function watchLine(line) {
  const { group, edges: own } = line;
  const pick = () => { state.pointed = null; state.line = own; showSoon(); };
  group.setAttribute("role", "button");
  group.setAttribute("aria-label", `${nameOf(edges[own[0]][0])} to ${nameOf(edges[own[0]][1])}`);
  group.addEventListener("focus", pick);
  group.addEventListener("click", () => group.focus({ preventScroll: true }));
  group.addEventListener("pointerenter", (event) => { if (event.pointerType === "mouse") pick(); });
  group.addEventListener("pointerleave", () => {
    state.line = drawn.lines.find((other) => other.group === document.activeElement)?.edges ?? null;
    showSoon();
  });
  return line;
}

function linesInOrder() {
  const places = new Map(order.map((value, k) => [value, k]));
  const key = ({ edges: [edge] }) => places.get(edges[edge][1]) * 1e6 + edges[edge][2];
  return [...drawn.lines].sort((a, b) => key(a) - key(b)).map((line) => line.group);
}

// One line is in the order of tabs: the one that is looked at, or the first into the value that is.
function showTabOfLines() {
  const { lines } = drawn;
  const next = lines.find((line) => line.edges === state.line) ?? lines.find(({ edges: [edge] }) => edges[edge][1] === state.selected) ?? lines[0];
  for (const line of lines) line.group.setAttribute("tabindex", line === next ? 0 : -1);
}

// What goes along a line, there and back.
function lineDetails(own) {
  const { row } = state;
  return own.slice(0, 12).flatMap((edge) => {
    const [source, target, position] = edges[edge];
    const known = carries(edge) && edgeMoment[edge] <= state.moment, { inputs } = values[target];
    const facts = make("dl");
    const fact = (term, ...content) => facts.append(make("dt", {}, term), make("dd", {}, ...content));
    fact("from", valueButton(source));
    fact("to", valueButton(target), inputs.length > 1 ? `, input ${position + 1} of ${inputs.length}` : "");
    fact("value", isComputed(source) ? asValue(describe(valueAt(source, row), shapeOf(source))) : notYet());
    if (!isTraining) return [facts];
    if (!carries(edge)) fact("gives back", "nothing");
    else if (!known) fact("gives back", notYet());
    else {
      const local = localLine(edge, row);
      if (local) fact("locally", local);
      fact("gives back", contributionLine(edge, row));
    }
    return [facts];
  }).concat(own.length > 12 ? [make("p", { class: "faint" }, `and ${own.length - 12} more`)] : []);
}

function showLine(own) {
  const [source, target] = edges[own[0]];
  byId("details-title").replaceChildren(...(own.length > 1 ? [`${own.length} uses`] : [isolated(nameOf(source)), " → ", isolated(nameOf(target))]));
  byId("details-body").replaceChildren(...lineDetails(own));
}
