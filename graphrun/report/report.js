"use strict";
// The page of a report. Whatever comes from a graph file is shown by textContent and setAttribute alone.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const { values, edges, waves, rows, history, scene, run, objective } = data;
  const isTraining = objective !== null;
  const FORWARD = "forward", BACKWARD = "backward", UPDATE = "update";
  const SHOWN_LINES = 4, SHOWN_ROWS = 400, SHOWN_CHARTS = 13, SMALLEST = 0.7;

  // Elements ------------------------------------------------------------------------------------------------------

  const byId = (id) => document.getElementById(id);

  function make(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  }

  function draw(tag, attributes = {}, ...children) {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  }

  const lastTexts = new WeakMap();

  // Asking an element for its text takes longer than remembering it.
  function put(element, text) {
    if (lastTexts.get(element) === text) return;
    lastTexts.set(element, text);
    element.textContent = text;
  }

  function setFlag(element, name, on) {
    if (on) element.setAttribute(name, "true");
    else element.removeAttribute(name);
  }

  const isolated = (text) => make("bdi", {}, text);
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

  // Numbers -------------------------------------------------------------------------------------------------------

  const minus = (text) => text.replace(/-(?!>)/g, "−");
  const typeset = (text) => minus(text).replace(/ \* /g, " · ");

  function format(x, digits = 6) {
    if (Number.isNaN(x)) return "NaN";
    if (!Number.isFinite(x)) return x > 0 ? "∞" : "−∞";
    if (x === 0) return "0";
    const exponent = Math.floor(Math.log10(Math.abs(x)));
    let text = exponent < -4 || exponent >= Math.max(digits, 6) ? x.toExponential(digits - 1) : x.toPrecision(digits);
    if (text.includes("e")) {
      const [mantissa, power] = Number(text).toExponential(digits - 1).split("e");
      text = `${trimmed(mantissa)}e${Number(power)}`;
    } else {
      text = trimmed(text);
    }
    return minus(text);
  }

  const whole = (n) => n.toLocaleString("en-US");
  const trimmed = (text) => (text.includes(".") ? text.replace(/\.?0+$/, "") : text);

  function nested(numbers, shape, digits) {
    if (shape.length === 0) return format(numbers[0], digits);
    const size = numbers.length / shape[0];
    const items = Array.from({ length: shape[0] }, (_, k) =>
      nested(numbers.slice(k * size, (k + 1) * size), shape.slice(1), digits));
    return `[${items.join(", ")}]`;
  }

  const sizeOf = (shape) => shape.reduce((product, n) => product * n, 1);
  const isSmall = (shape) => sizeOf(shape) <= 4;

  // A value on one line; of an array of more than four elements the range and the norm.
  function describe(numbers, shape = [], digits = 6) {
    if (shape.length === 0) return format(numbers[0], digits);
    if (isSmall(shape)) return sizeOf(shape) ? nested(numbers, shape, digits) : "empty";
    const [least, most, norm] = numbers.map((x) => format(x, digits));
    const size = shape.length === 1 ? `vector of ${shape[0]}` : shape.join("×");
    return `${size}: ${least === most ? `all ${least}` : `${least} to ${most}`}${norm === "0" ? "" : `, norm ${norm}`}`;
  }

  // The same in a sentence.
  const told = (numbers, shape) => describe(numbers, shape, shape.length ? 4 : 6);

  // The same in a box or on an edge, where there is little room.
  function brief(numbers, shape = [], digits = 5) {
    if (shape.length === 0) return format(numbers[0], digits);
    if (isSmall(shape) && sizeOf(shape) <= 2) return sizeOf(shape) ? nested(numbers, shape, 3) : "empty";
    const norm = isSmall(shape) ? Math.hypot(...numbers) : numbers[2];
    return `‖${format(norm, 4)}‖`;
  }

  const inParentheses = (text) => (/^[−-]/.test(text) ? `(${text})` : text);

  function numberIn(column, row) {
    const stored = data.columns[column];
    return Number(Array.isArray(stored) ? stored[row] : stored);
  }

  const numbersIn = (columns, row) => (columns ? columns.map((column) => numberIn(column, row)) : null);
  const columnOf = (column, count) =>
    Array.from({ length: count }, (_, row) => numberIn(column, row));

  // The graph -----------------------------------------------------------------------------------------------------

  const shapeOf = (value) => values[value].shape ?? [];
  const nameOf = (value) => values[value].name;
  const isNode = (value) => values[value].kind === "node";
  const isParameter = (value) => values[value].kind === "parameter";
  const edgesInto = values.map(() => []), edgesFrom = values.map(() => []);
  edges.forEach(([source, target], edge) => {
    edgesInto[target].push(edge);
    edgesFrom[source].push(edge);
  });
  const order = [...values.keys()].filter((v) => !isNode(v)).concat(waves.flat());
  const carries = (edge) => Boolean(rows.contributions?.[edge]);

  const valueAt = (value, row) => numbersIn(rows.values[value], row);
  const gradientAt = (value, row) => numbersIn(rows.gradients?.[value], row);
  const localAt = (edge, row) => numbersIn(rows.locals?.[edge], row);
  const contributionAt = (edge, row) => numbersIn(rows.contributions?.[edge], row);
  const moveAt = (value, row) => numbersIn(rows.moves?.[value], row);
  const stepAt = (row) => numberIn(rows.step, row);
  const nextStep = (row) => (rows.next === undefined ? -1 : numberIn(rows.next, row));
  const hasGradient = (value) =>
    isTraining && (value === objective.value || isNode(value) || isParameter(value) || edgesFrom[value].some(carries));

  // What a parameter becomes by the update: known where the next row is that of the next step.
  function valueAfter(parameter, row) {
    return row + 1 < rows.count && stepAt(row + 1) === nextStep(row) ? valueAt(parameter, row + 1) : null;
  }

  // The passes as a list of moments -------------------------------------------------------------------------------

  const moments = [{ phase: FORWARD, nodes: [], edges: [] }];
  for (const nodes of waves) moments.push({ phase: FORWARD, nodes, edges: nodes.flatMap((n) => edgesInto[n]) });
  if (isTraining) {
    moments.push({ phase: BACKWARD, nodes: [], edges: [], seed: true });
    for (const wave of [...waves].reverse()) {
      const nodes = wave.filter((n) => values[n].needed);
      if (nodes.length) moments.push({ phase: BACKWARD, nodes, edges: nodes.flatMap((n) => edgesInto[n]).filter(carries) });
    }
    moments.push({ phase: UPDATE, nodes: [], edges: [] });
  }
  const lastBackward = isTraining ? moments.length - 2 : moments.length - 1;
  const seedMoment = moments.findIndex((moment) => moment.seed);
  const valueMoment = values.map(() => 0);
  const gradientMoment = values.map(() => lastBackward);
  const edgeMoment = edges.map(() => Infinity);
  moments.forEach((moment, place) => {
    if (moment.phase === FORWARD) moment.nodes.forEach((node) => { valueMoment[node] = place; });
    if (moment.phase === BACKWARD) moment.edges.forEach((edge) => { edgeMoment[edge] = place; });
  });
  values.forEach((_, value) => {
    const places = edgesFrom[value].filter(carries).map((edge) => edgeMoment[edge]);
    if (isTraining && value === objective.value) places.push(seedMoment);
    if (places.length) gradientMoment[value] = Math.max(...places);
  });
  // Whoever's last contribution arrives in a moment has its gradient complete then.
  const completedIn = (place) => [...new Set(moments[place].edges.map((edge) => edges[edge][0]))]
    .filter((value) => gradientMoment[value] === place);

  // State ---------------------------------------------------------------------------------------------------------

  const state = {
    row: 0,
    moment: lastBackward,
    selected: isTraining ? objective.value : (order[order.length - 1] ?? 0),
    pointed: null,
    timer: null,
    zoom: null,
  };
  const shown = () => state.pointed ?? state.selected;
  const isComputed = (value) => valueMoment[value] <= state.moment;
  const isDerived = (value) => hasGradient(value) && gradientMoment[value] <= state.moment;

  // Formulas ------------------------------------------------------------------------------------------------------

  // Fill a formula's places with what `of` makes of an input; -1 stands for the node itself.
  function filled(template, of) {
    return template.split(/\{(\d+|y)\}/).map((piece, k) => {
      if (k % 2 === 0) return typeset(piece);
      return of(piece === "y" ? -1 : Number(piece));
    });
  }

  const inNames = (template, node) =>
    filled(template, (k) => isolated(nameOf(k < 0 ? node : values[node].inputs[k])));

  function inNumbers(template, node, row) {
    const isTerm = /^\{\d+\} [-+*/] /.test(template);
    let isFirst = true;
    return filled(template, (k) => {
      const value = k < 0 ? node : values[node].inputs[k];
      const text = describe(valueAt(value, row));
      const stands = isTerm && isFirst;
      isFirst = false;
      return stands ? text : inParentheses(text);
    });
  }

  const areNumbers = (node) => [node, ...values[node].inputs].every((value) => shapeOf(value).length === 0);

  // df/da; with a blank where a name is long.
  function derivative(of, by) {
    const gap = nameOf(of).length > 1 || nameOf(by).length > 1 ? "\u202f" : "";
    return [`d${gap}`, isolated(nameOf(of)), `/d${gap}`, isolated(nameOf(by))];
  }

  const math = (...parts) => make("span", { class: "math" }, ...parts.flat(Infinity));
  const asValue = (text) => make("span", { class: /NaN|∞/.test(text) ? "bad" : "value" }, text);
  const asGradient = (text) => make("span", { class: /NaN|∞/.test(text) ? "bad" : "gradient" }, text);

  function forwardLine(node, row) {
    const formula = values[node].formula;
    const line = [isolated(nameOf(node)), " = ", ...inNames(formula, node), " = "];
    if (areNumbers(node) && values[node].inputs.length) {
      const numbers = inNumbers(formula, node, row);
      if (/[^\d.e−()]/.test(numbers.join(""))) line.push(...numbers, " = ");
    }
    return math(line, asValue(told(valueAt(node, row), shapeOf(node))));
  }

  function localLine(edge, row) {
    const [source, target, position] = edges[edge];
    const template = values[target].derivatives?.[position];
    const local = localAt(edge, row);
    const line = [derivative(target, source)];
    if (template && /[{a-z]/.test(template)) line.push(" = ", inNames(template, target));
    if (local) line.push(" = ", asGradient(told(local, shapeOf(target))));
    return template || local ? math(line) : null;
  }

  const namesAreShort = values.every((entry) => entry.kind === "literal" || entry.name.length <= 4);

  // The local derivative as a factor: its formula, or the symbol of a mere number, which stands beside it.
  function localFactor(edge) {
    const [source, target, position] = edges[edge];
    const template = values[target].derivatives?.[position];
    if (!template || (namesAreShort && !/[{a-z]/.test(template))) return derivative(target, source);
    let outside = template, before;
    do [before, outside] = [outside, outside.replace(/\([^()]*\)/g, "")]; while (outside !== before);
    const formula = inNames(template, target);
    return /^-| /.test(outside) ? ["(", formula, ")"] : formula;
  }

  function contributionLine(edge, row) {
    const [source, target] = edges[edge];
    const top = objective.value;
    const local = localAt(edge, row);
    const upstream = gradientAt(target, row);
    const result = contributionAt(edge, row);
    const isSum = edgesFrom[source].filter(carries).length > 1 || source === top;
    const line = [derivative(top, source), isSum ? " gets " : " = "];
    const isScalar = local && shapeOf(source).length === 0 && shapeOf(target).length === 0;
    if (target !== top) {
      const chain = [derivative(top, target), " · ", localFactor(edge)];
      // What was repeated along an axis gets the sum over it.
      const isRepeated = local && shapeOf(source).join() !== shapeOf(target).join();
      line.push(...(isRepeated ? ["sum(", chain, ")"] : chain), " = ");
    }
    if (isScalar && target !== top) {
      line.push(asGradient(format(upstream[0])), " · ", inParentheses(format(local[0])), " = ");
    } else if (isScalar) {
      const template = values[target].derivatives?.[edges[edge][2]];
      if (template && /[{a-z]/.test(template)) line.push(inNames(template, target), " = ");
    }
    line.push(asGradient(told(result, shapeOf(source))));
    return math(line);
  }

  function sumLine(value, row) {
    // In the order in which the backward pass comes by, as explain has it.
    const given = edgesFrom[value].filter(carries).sort((a, b) => edgeMoment[a] - edgeMoment[b]);
    const line = [derivative(objective.value, value), " = "];
    if (shapeOf(value).length === 0 && given.length <= 6) {
      const terms = given.map((edge) => format(contributionAt(edge, row)[0]));
      if (value === objective.value) terms.unshift("1");
      line.push(terms.reduce((sum, term) => (term.startsWith("−") ? `${sum} − ${term.slice(1)}` : `${sum} + ${term}`)), " = ");
    }
    return math(line, asGradient(told(gradientAt(value, row), shapeOf(value))));
  }

  function updateLine(parameter, row) {
    const { step_size: size, sign } = run.update;
    const shape = shapeOf(parameter);
    const before = valueAt(parameter, row), move = moveAt(parameter, row), after = valueAfter(parameter, row);
    const line = [isolated(nameOf(parameter)), " ← "];
    const isOne = nextStep(row) === stepAt(row) + 1;
    const operator = sign > 0 ? " + " : " − ";
    if (size !== null && isOne) {
      line.push(isolated(nameOf(parameter)), operator, format(size), " · ", derivative(objective.value, parameter));
      if (shape.length === 0) {
        const gradient = inParentheses(format(gradientAt(parameter, row)[0]));
        line.push(" = ", format(before[0]), operator, format(size), " · ", gradient);
      }
    } else {
      line.push(isolated(nameOf(parameter)), " + Δ");
      if (shape.length === 0) line.push(" = ", format(before[0]), " + ", inParentheses(format(move[0])));
      else line.push(", Δ = ", told(move, shape));
    }
    if (after) line.push(shape.length === 0 ? " = " : ["; ", isolated(nameOf(parameter)), " = "], asValue(told(after, shape)));
    return math(line);
  }

  // The story: what happens in a moment, in words -----------------------------------------------------------------

  function story(place, row) {
    const moment = moments[place];
    if (moment.phase === FORWARD) {
      const count = seedMoment < 0 ? moments.length - 1 : seedMoment - 1;
      if (place === 0) {
        const leaves = order.filter((value) => !isNode(value) && values[value].kind !== "literal");
        const lines = leaves.map((value) => math(isolated(nameOf(value)), " = ", asValue(told(valueAt(value, row), shapeOf(value)))));
        return { title: "The leaves have their values", lines: shapeOf(leaves[0] ?? 0).length ? lines : joined(lines, leaves.length) };
      }
      return { title: `Forward pass, ${place} of ${count}`, lines: moment.nodes.map((node) => forwardLine(node, row)) };
    }
    if (moment.seed) {
      const top = objective.value;
      const line = math(derivative(top, top), " = ", asGradient("1"), ": ", isolated(nameOf(top)), " changes by as much as itself");
      return { title: "The backward pass begins at the objective", lines: [line] };
    }
    if (moment.phase === BACKWARD) {
      const lines = moment.edges.filter((edge) => values[edges[edge][0]].kind !== "literal").map((edge) => contributionLine(edge, row));
      for (const value of completedIn(place)) {
        if (edgesFrom[value].filter(carries).length > 1) lines.push(sumLine(value, row));
      }
      const names = moment.nodes.length === 1 ? [", through ", isolated(nameOf(moment.nodes[0]))] : [];
      return { title: [`Backward pass, ${place - seedMoment} of ${lastBackward - seedMoment}`, ...names], lines };
    }
    if (!rows.moves || nextStep(row) < 0) {
      return { title: "Here the run ends", lines: [math(row + 1 < rows.count ? "the next row is not recorded" : `after ${run.steps} steps: ${run.stopped}`)] };
    }
    const top = objective.value;
    const lines = values.flatMap((_, value) => (isParameter(value) ? [updateLine(value, row)] : []));
    const title = [`Update ${nextStep(row) === stepAt(row) + 1 ? "" : `to step ${nextStep(row)} `}by ${run.update.rule}`];
    const after = valueAfter(top, row);
    if (after) {
      const difference = after[0] - valueAt(top, row)[0];
      const word = difference > 0 ? "rises" : "falls";
      const [from, to] = [valueAt(top, row)[0], after[0]].map((x) => format(x));
      if (run.varying) title.push(`: the next step, with other ${run.varying}, has `, isolated(nameOf(top)), ` = ${to}`);
      else title.push(": ", isolated(nameOf(top)), from === to ? ` stays at ${to}` : ` ${word} from ${from} to ${to}`);
    }
    return { title, lines };
  }

  function joined(lines, count) {
    if (count > 12) return lines;
    return [math(lines.flatMap((line, k) => (k ? [", ", line] : [line])))];
  }

  let toldMoment = "";

  function showStory() {
    const now = `${state.row} ${state.moment}`;
    if (now === toldMoment) return;
    toldMoment = now;
    const { title, lines } = story(state.moment, state.row);
    const place = byId("story");
    place.setAttribute("data-phase", moments[state.moment].phase);
    place.setAttribute("aria-live", state.timer && byId("pace").value === "steps" ? "off" : "polite");
    byId("story-title").replaceChildren(...[title].flat(Infinity));
    const most = lines.length <= SHOWN_LINES + 1 ? lines.length : SHOWN_LINES;
    const content = lines.slice(0, most).map((line) => make("div", {}, line));
    if (lines.length > most) content.push(make("div", { class: "faint" }, `and ${lines.length - most} more`));
    byId("story-lines").replaceChildren(...content);
  }

  // The drawing ---------------------------------------------------------------------------------------------------

  let drawn = null;
  const boxOf = new Map();
  scene.boxes.forEach((box, k) => box.values.forEach((value) => boxOf.set(value, k)));

  // A folded group shows its own value, the one that leaves it; a box of neighbours has none.
  const faceOf = (box) => (box.group ? box.face ?? box.values[0] : box.values[0]);
  const hasFace = (box) => !box.group || box.face !== undefined;

  function buildDrawing() {
    const host = byId("drawing");
    const isRight = scene.right && scene.right.size[0] * SMALLEST <= host.clientWidth;
    const name = isRight ? "right" : "down";
    if (drawn?.name === name) return;
    const plan = scene[name];
    const [width, height] = plan.size;
    const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": "The graph; up and down move from value to value" });
    plan.frames.forEach(([x, y, w, h]) => svg.append(draw("g", { class: "frame" }, draw("rect", { x, y, width: w, height: h, rx: 8 }))));
    const labels = apart(plan.routes.map((route) => route.label), plan.labels === "product" ? 100 : 54);
    const lines = scene.lines.map((line, k) => {
      const { points } = plan.routes[k];
      const label = labels[k];
      const text = draw("text", { x: label[0], y: label[1] });
      const paper = draw("rect", { y: label[1] - 9, height: 18, rx: 4, width: 0 });
      const group = draw("g", { class: "line" }, draw("path", { d: pathOf(points) }), draw("path", { class: "head", d: headOf(points) }));
      svg.append(group);
      return { group, text, paper, middle: label[0], edges: line };
    });
    // After the lines, so that none runs through a title.
    plan.frames.forEach(([x, y], k) => svg.append(draw("g", { class: "frame" }, draw("text", { x: x + 10, y: y + 11 }, scene.frames[k]))));
    const boxes = scene.boxes.map((box, k) => buildBox(box, k, plan.boxes[k]));
    boxes.forEach((box) => svg.append(box.group));
    lines.forEach((line) => svg.append(draw("g", { class: "line" }, line.paper, line.text)));
    host.replaceChildren(svg);
    drawn = { name, svg, lines, boxes, width, height, labels: plan.labels };
    fit();
  }

  // Of two labels that would lie on each other one moves up and one down; more of them move on down.
  function apart(labels, width) {
    if (labels.length > 100) return labels;
    const placed = [];
    for (const [x, y] of labels) {
      const isNear = ([otherX, otherY]) => Math.abs(otherX - x) < width && Math.abs(otherY - here[1]) < 17;
      const here = [x, y];
      const first = placed.find(isNear);
      if (first && !placed.some((other) => other !== first && isNear(other))) {
        first[1] -= 8.5;
        here[1] = first[1] + 17;
      }
      while (placed.some(isNear)) here[1] += 3;
      placed.push(here);
    }
    return placed;
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
    const texts = [...head, text(box.rows.length, "value-text"), text(box.rows.length + 1, "gradient-text")];
    const rect = (grow, extra) => draw("rect", { x: x - grow, y: y - grow, width: w + 2 * grow, height: h + 2 * grow, rx: radius + grow, ...extra });
    const group = draw("g", { class: `box ${kind}${isObjective ? " objective" : ""}`, tabindex: -1, role: "button" },
      rect(4, { class: "ring" }), rect(0, { class: "shape" }), ...texts);
    group.setAttribute("data-name", box.name);
    group.setAttribute("aria-label", box.name);
    group.addEventListener("click", () => select(face));
    group.addEventListener("focus", () => select(face));
    group.addEventListener("pointerenter", (event) => { if (event.pointerType === "mouse") point(face); });
    group.addEventListener("pointerleave", () => point(null));
    return { group, box, face, index, value: texts[head.length], gradient: texts[head.length + 1], center: [middle, y + h / 2] };
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
    const updates = moment.phase === UPDATE && rows.moves && nextStep(row) >= 0;
    const active = new Set(moment.nodes);
    if (moment.seed) active.add(objective.value);
    if (updates) values.forEach((_, value) => { if (isParameter(value)) active.add(value); });
    const completed = moment.phase === BACKWARD ? new Set(completedIn(place)) : new Set();
    const phase = moment.phase === UPDATE ? FORWARD : moment.phase;
    const near = shown(), isFew = drawn.boxes.length <= 100;
    for (const { group, box, face, value, gradient } of drawn.boxes) {
      const computed = isComputed(face), derived = isDerived(face);
      const isActive = box.values.some((v) => active.has(v));
      const isReached = box.values.some((v) => completed.has(v));
      put(value, computed && hasFace(box) ? brief(valueAt(face, row), shapeOf(face)) : "");
      if (updates && isParameter(face) && hasFace(box)) {
        const after = valueAfter(face, row);
        const move = moveAt(face, row);
        put(gradient, after ? `→ ${brief(after, shapeOf(face))}` : `Δ ${brief(move, shapeOf(face), 4)}`);
        gradient.setAttribute("class", "value-text");
      } else {
        gradient.setAttribute("class", "gradient-text");
        put(gradient, derived && hasFace(box) && (isNode(face) || isParameter(face)) ? `grad ${brief(gradientAt(face, row), shapeOf(face))}` : "");
      }
      group.classList.toggle("waiting", !computed);
      group.classList.toggle("forward", isActive && phase === FORWARD);
      group.classList.toggle("backward", (isActive || isReached) && phase === BACKWARD);
      group.classList.toggle("selected", box.values.includes(near));
      group.setAttribute("tabindex", box.values.includes(state.selected) ? 0 : -1);
      group.setAttribute("aria-pressed", box.values.includes(state.selected));
      if (isFew || box.values.includes(state.selected)) group.setAttribute("aria-label", spoken(box, face));
    }
    const live = new Set(moment.edges);
    const labelled = drawn.labels !== "none";
    for (const { group, text, paper, middle, edges: own } of drawn.lines) {
      const isLive = own.some((edge) => live.has(edge));
      const isNear = own.some((edge) => edges[edge][0] === near || edges[edge][1] === near);
      group.classList.toggle("forward", isLive && moment.phase === FORWARD);
      group.classList.toggle("backward", isLive && moment.phase === BACKWARD);
      group.classList.toggle("near", isNear);
      const isShown = place >= seedMoment && (labelled || isLive || isNear) && moment.phase !== FORWARD;
      const label = isShown ? edgeLabel(own, place, row) : "";
      put(text, label);
      const width = label ? 6.6 * label.length + 8 : 0;
      paper.setAttribute("x", middle - width / 2);
      paper.setAttribute("width", width);
    }
  }

  // Upstream times local derivative is the contribution.
  function edgeLabel(own, place, row) {
    const passed = own.filter((edge) => carries(edge) && edgeMoment[edge] <= place);
    if (passed.length !== 1) return "";
    const [edge] = passed;
    const [source, target] = edges[edge];
    const local = localAt(edge, row);
    const result = brief(contributionAt(edge, row), shapeOf(source), 4);
    if (!local || shapeOf(target).length || drawn.labels !== "product") return result;
    return `${format(gradientAt(target, row)[0], 4)} · ${inParentheses(format(local[0], 4))} = ${result}`;
  }

  function spoken(box, face) {
    const parts = [box.name, box.group ? `${box.values.length} values` : values[face].type ?? values[face].kind];
    if (!hasFace(box)) return parts.join(", ");
    if (isComputed(face)) parts.push(`value ${describe(valueAt(face, state.row), shapeOf(face))}`);
    if (isDerived(face)) parts.push(`gradient ${describe(gradientAt(face, state.row), shapeOf(face))}`);
    return parts.join(", ");
  }

  // The whole drawing where it can be read like that, else as wide as there is room for.
  function fit(isWhole = false) {
    const host = byId("drawing");
    const inWidth = (host.clientWidth - 2) / drawn.width;
    const whole = Math.min(inWidth, (Math.min(window.innerHeight * 0.62, 640) - 4) / drawn.height);
    zoomTo(Math.min(1.25, isWhole || whole > 0.75 ? whole : Math.max(0.62, Math.min(inWidth, 0.95))));
    state.fitted = !isWhole;
  }

  function zoomTo(zoom) {
    state.zoom = Math.min(3, Math.max(0.08, zoom));
    state.fitted = false;
    drawn.svg.setAttribute("width", drawn.width * state.zoom);
    drawn.svg.setAttribute("height", drawn.height * state.zoom);
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

  // Details -------------------------------------------------------------------------------------------------------

  let detailPlots = [];
  let plotted = { value: null, host: null };

  function valueButton(value) {
    const button = make("button", { type: "button", class: "link" }, isolated(nameOf(value)));
    button.addEventListener("click", () => select(value, true));
    return button;
  }

  function showDetails() {
    const value = shown(), entry = values[value], { row } = state;
    const body = byId("details-body");
    const hasFocus = body.contains(document.activeElement);
    byId("details-title").replaceChildren(isolated(entry.name));
    const facts = make("dl");
    const fact = (term, ...content) => facts.append(make("dt", {}, term), make("dd", {}, ...content));
    const what = value === objective?.value ? `${entry.type ?? entry.kind}, ${objective.maximize ? "maximized" : "minimized"}` : entry.type ?? entry.kind;
    fact("type", what);
    if (entry.shape) fact("shape", entry.shape.join(" × "));
    if (isNode(value)) fact("formula", math(isolated(entry.name), " = ", inNames(entry.formula, value)));
    if (isNode(value) && areNumbers(value) && isComputed(value)) fact("in numbers", forwardNumbers(value, row));
    fact("value", isComputed(value) ? asValue(describe(valueAt(value, row), shapeOf(value))) : notYet());
    if (hasGradient(value)) {
      fact("gradient", isDerived(value) ? asGradient(describe(gradientAt(value, row), shapeOf(value))) : notYet());
    } else if (isTraining) {
      fact("gradient", "none");
    }
    if (isParameter(value) && rows.moves && nextStep(row) >= 0) {
      fact("update", asValue(describe(moveAt(value, row), shapeOf(value))), nextStep(row) === stepAt(row) + 1 ? "" : ` until step ${nextStep(row)}`);
    }
    if (entry.lines) {
      const button = make("button", { type: "button", class: "link" }, `line ${entry.lines.join(", ")}`);
      button.addEventListener("click", () => { markLines(value); rowOfLine(entry.lines[0])?.scrollIntoView({ block: "center" }); });
      fact("in the file", button);
    }
    const content = [facts];
    if (isNode(value) && entry.inputs.length) content.push(make("h3", {}, "Inputs"), inputsTable(value, row));
    const uses = edgesFrom[value];
    if (uses.length) content.push(make("h3", {}, uses.length === 1 ? "Used once" : `Used ${uses.length} times`), usesTable(value, row));
    const box = scene.boxes[boxOf.get(value)];
    if (box?.group) content.push(make("h3", {}, `Folded in the box ${box.rows[0][0]}`), membersList(box));
    const isNew = value !== plotted.value;
    if (isNew) plotted = { value, host: make("div", { class: "plots" }) };
    body.replaceChildren(...content, plotted.host);
    if (hasFocus) body.querySelector("button")?.focus({ preventScroll: true });
    if (isNew && rows.count > 1) {
      detailPlots.forEach((plot) => plot.destroy());
      detailPlots = [];
      plotDetails(value, plotted.host);
    }
    detailPlots.forEach(moveNow);
  }

  function membersList(box) {
    const list = box.values.slice(0, 60).flatMap((value, k) => (k ? [", ", valueButton(value)] : [valueButton(value)]));
    if (box.values.length > 60) list.push(`, and ${box.values.length - 60} more`);
    return scrolled(make("p", {}, ...list));
  }

  const notYet = () => make("span", { class: "faint" }, "not reached yet");

  function forwardNumbers(node, row) {
    return math(inNumbers(values[node].formula, node, row), " = ", asValue(format(valueAt(node, row)[0])));
  }

  function table(head, body) {
    const cells = (tag, texts) => texts.map((text, k) => make(tag, tag === "th" ? { scope: "col", ...(k === 0 ? { class: "left" } : {}) } : {}, ...[text].flat()));
    return make("table", {},
      make("thead", {}, make("tr", {}, ...cells("th", head))),
      make("tbody", {}, ...body.map((texts) => make("tr", {}, ...cells("td", texts)))));
  }

  const scrolled = (content) => make("div", { class: "scroll" }, content);

  // For each input a row, and under it the local derivative, which may be long.
  function inputsTable(node, row) {
    const result = table(["", "value", ...(isTraining ? ["gets"] : [])], []);
    const body = result.querySelector("tbody");
    for (const edge of edgesInto[node].slice(0, 60)) {
      const [source] = edges[edge];
      const shape = shapeOf(source);
      const known = edgeMoment[edge] <= state.moment;
      const given = carries(edge) ? (known ? asGradient(brief(contributionAt(edge, row), shape, 6)) : "…") : "–";
      const value = isComputed(source) ? asValue(brief(valueAt(source, row), shape, 6)) : "…";
      body.append(make("tr", {}, ...[valueButton(source), value, ...(isTraining ? [given] : [])].map((cell) => make("td", {}, cell))));
      const local = known && carries(edge) ? localLine(edge, row) : null;
      if (local) body.append(make("tr", { class: "derivation" }, make("td", { colspan: 3 }, local)));
    }
    return scrolled(result);
  }

  function usesTable(value, row) {
    const body = edgesFrom[value].slice(0, 60).map((edge) => {
      const [, target] = edges[edge];
      const known = edgeMoment[edge] <= state.moment;
      return [valueButton(target), ...(isTraining ? [carries(edge) ? (known ? asGradient(brief(contributionAt(edge, row), shapeOf(value), 6)) : "…") : "–"] : [])];
    });
    return scrolled(table(["by", ...(isTraining ? ["gives back"] : [])], body));
  }

  // Charts --------------------------------------------------------------------------------------------------------

  const charts = [];
  const SERIES = ["accent", "gradient", "faint", "edge"];
  const DASHES = [[], [6, 4], [2, 3], [8, 3, 2, 3]];

  const isPowerOfTen = (x) => Math.abs(Math.log10(x) - Math.round(Math.log10(x))) < 1e-9;
  const powersOfTen = (_, splits) => splits.map((x) => (isPowerOfTen(x) ? x : null));

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
        stroke: () => colour(tones[k % tones.length]), width: 1.6, dash: DASHES[k % 4], points: { show: xs.length <= 30, size: 5 },
      }))],
      hooks: { setCursor: [(u) => onStep(u.cursor.idx)], draw: [(u) => u.now && moveNow(u)] },
    };
    const finite = columns.map((column) => column.map((x) => (Number.isFinite(x) ? x : null)));
    const u = new uPlot(options, [xs, ...finite], host);
    const now = make("div", { class: "now" });
    u.over.append(now);
    u.now = now;
    return u;
  }

  function moveNow(u) {
    u.now.style.transform = `translateX(${u.valToPos(stepAt(state.row), "x")}px)`;
  }

  function listen(u, xs) {
    const go = (event) => {
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
    return history.series.filter((series) => !series.holdout).map((series) => {
      const lines = series.columns.map((column, k) => ({ column, label: labelsOf(series)[k] }));
      const held = history.series.find((other) => other.holdout && other.name === series.name);
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
    const xs = columnOf(history.step, history.count);
    groups.slice(charts.length, count).forEach(({ series, lines }) => {
      const isMain = series.value === objective?.value;
      const readout = make("span", { class: "readout" });
      const title = make("h3", {}, isolated(series.name), readout);
      const host = make("div", { class: "plot", role: "img" });
      const card = make("div", { class: `card chart${isMain ? " wide" : ""}` }, title, host);
      card.setAttribute("data-name", series.name);
      byId("charts-body").append(card);
      const columns = lines.map((line) => columnOf(line.column, history.count));
      const chart = { host, lines, xs, columns, readout, height: isMain ? 200 : 150, name: series.name };
      const first = columns[0] ?? [], last = xs.length - 1;
      host.setAttribute("aria-label", `Chart of ${series.name}: ${format(first[0])} at step ${xs[0]}, ${format(first[last])} at step ${xs[last]}`);
      chart.u = plot(host, xs, columns, chart.height, (index) => showReadout(chart, index), { isLog: byId("log").checked && areAllPositive(columns) });
      listen(chart.u, xs);
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

  function plotDetails(value, host) {
    const xs = columnOf(rows.step, rows.count);
    const add = (title, tone, columns, shape) => {
      const single = shape.length && !isSmall(shape) ? [columns[2]] : columns.slice(0, 4);
      const place = make("div", { class: "plot", role: "img", "aria-label": `Chart of the ${title} of ${nameOf(value)}` });
      host.append(make("h3", {}, `${title}${shape.length && !isSmall(shape) ? " (norm)" : ""} over the steps`), place);
      const u = plot(place, xs, single.map((column) => columnOf(column, rows.count)), 104, () => {}, { tones: single.length === 1 ? [tone] : SERIES });
      listen(u, xs);
      moveNow(u);
      detailPlots.push(u);
    };
    if (!rows.values[value]?.length) return;
    const isConstant = (columns) => columns.every((column) => !Array.isArray(data.columns[column]));
    if (!isConstant(rows.values[value])) add("value", "accent", rows.values[value], shapeOf(value));
    if (hasGradient(value) && !isConstant(rows.gradients[value])) add("gradient", "gradient", rows.gradients[value], shapeOf(value));
  }

  // Tables --------------------------------------------------------------------------------------------------------

  const tableRows = [];

  function addRow(body, value, cells) {
    const tr = make("tr", {}, make("td", {}, valueButton(value)), ...cells);
    tr.setAttribute("data-name", nameOf(value));
    body.append(tr);
    return tr;
  }

  function buildParameters() {
    const parameters = [...values.keys()].filter(isParameter);
    if (!parameters.length) return;
    byId("parameters").hidden = false;
    const body = make("tbody");
    const heads = ["value", ...(isTraining ? ["gradient", "update"] : [])];
    byId("parameters-body").append(make("table", {},
      make("thead", {}, make("tr", {}, make("th", { scope: "col", class: "left" }, "name"), ...heads.map((head) => make("th", { scope: "col" }, head)))), body));
    for (const value of parameters.slice(0, SHOWN_ROWS)) {
      const cells = heads.map((head) => make("td", { class: head }));
      tableRows.push({ tr: addRow(body, value, cells), value, cells, kind: "parameter" });
    }
    if (parameters.length > SHOWN_ROWS) byId("parameters-body").append(make("p", { class: "faint" }, `${SHOWN_ROWS} of ${parameters.length}`));
  }

  function buildValues(wanted = "") {
    for (let k = tableRows.length - 1; k >= 0; k -= 1) if (tableRows[k].kind === "value") tableRows.splice(k, 1);
    const body = make("tbody");
    const heads = ["value", ...(isTraining ? ["gradient"] : [])];
    byId("values-body").replaceChildren(make("table", {},
      make("thead", {}, make("tr", {}, make("th", { scope: "col", class: "left" }, "name"), make("th", { scope: "col", class: "left" }, "type"), ...heads.map((head) => make("th", { scope: "col" }, head)))), body));
    const found = order.filter((value) => values[value].kind !== "literal" && nameOf(value).toLowerCase().includes(wanted.toLowerCase()));
    for (const value of found.slice(0, SHOWN_ROWS)) {
      const cells = heads.map((head) => make("td", { class: head }));
      const type = make("td", { class: "left faint" }, values[value].type ?? values[value].kind);
      tableRows.push({ tr: addRow(body, value, [type, ...cells]), value, cells, kind: "value" });
    }
    byId("values-note").hidden = found.length <= SHOWN_ROWS && found.length > 0;
    put(byId("values-note"), found.length ? `${SHOWN_ROWS} of ${found.length}; Find shows others` : "nothing has that name");
  }

  function showTables() {
    const { row } = state;
    const near = shown();
    for (const { tr, value, cells, kind } of tableRows) {
      const shape = shapeOf(value);
      const showIt = (numbers) => (kind === "parameter" ? brief(numbers, shape, 6) : told(numbers, shape));
      put(cells[0], showIt(valueAt(value, row)));
      if (cells[1]) put(cells[1], hasGradient(value) ? showIt(gradientAt(value, row)) : "");
      if (cells[2]) put(cells[2], rows.moves && nextStep(row) >= 0 ? brief(moveAt(value, row), shape, 6) : "");
      tr.classList.toggle("selected", value === near);
    }
  }

  // The file ------------------------------------------------------------------------------------------------------

  const valuesOfLine = new Map();
  values.forEach((entry, value) => (entry.lines ?? []).forEach((line) => {
    valuesOfLine.set(line, [...(valuesOfLine.get(line) ?? []), value]);
  }));
  const rowOfLine = (line) => byId("file-body").children[line - 1];

  function buildFile() {
    put(byId("file-title"), data.file.name);
    const body = byId("file-body");
    data.file.lines.forEach((text, k) => {
      const own = valuesOfLine.get(k + 1);
      const number = String(k + 1);
      let gutter = make("span", { class: "gutter" }, number);
      if (own) {
        gutter = make("button", { type: "button", class: "gutter", tabindex: "-1", "aria-label": `line ${number}: ${own.slice(0, 5).map(nameOf).join(", ")}` }, number);
      }
      const code = make("code", { class: /^\s*#/.test(text) ? "comment text" : "text" }, text);
      const line = make("div", { class: own ? "row linked" : "row" }, gutter, code);
      if (own) line.addEventListener("click", () => pickLine(k + 1));
      body.append(line);
    });
    if (data.file.left_out) body.append(make("p", { class: "faint" }, `and ${data.file.left_out} lines more`));
    const first = body.querySelector("button");
    if (first) first.tabIndex = 0;
  }

  // A line that declares several values gives one after the other.
  function pickLine(line) {
    const own = valuesOfLine.get(line);
    const next = own[(own.indexOf(state.selected) + 1) % own.length];
    select(next, true);
  }

  let marked = null;

  function markLines(value) {
    if (marked === value) return;
    marked = value;
    const lines = new Set(values[value].lines ?? []);
    [...byId("file-body").children].forEach((row, k) => row.classList.toggle("selected", lines.has(k + 1)));
    const body = byId("file-body"), row = lines.size ? rowOfLine([...lines][0]) : null;
    if (row && !body.contains(document.activeElement)) {
      const top = row.offsetTop - body.offsetTop;
      if (top < body.scrollTop || top > body.scrollTop + body.clientHeight - 30) body.scrollTop = top - body.clientHeight / 2;
    }
  }

  // Moving --------------------------------------------------------------------------------------------------------

  function show() {
    const { row, moment } = state;
    const step = byId("step"), place = byId("moment");
    step.value = row;
    const top = objective?.value;
    const text = `${whole(stepAt(row))} of ${whole(run.steps)}`;
    put(byId("step-text"), text);
    step.setAttribute("aria-valuetext", isTraining ? `step ${text}, ${nameOf(top)} is ${format(valueAt(top, row)[0])}` : `step ${text}`);
    place.value = moment;
    const { phase } = moments[moment];
    place.classList.toggle("backward", phase === BACKWARD);
    for (const name of [FORWARD, BACKWARD, UPDATE]) setFlag(byId(`to-${name}`), "aria-current", phase === name);
    showStory();
    place.setAttribute("aria-valuetext", byId("story-title").textContent);
    showDrawing();
    showDetails();
    showTables();
    markLines(shown());
    for (const chart of charts) {
      moveNow(chart.u);
      showReadout(chart, null);
    }
    byId("step-back").disabled = row === 0;
    byId("step-on").disabled = row === rows.count - 1;
    byId("moment-back").disabled = row === 0 && moment === 0;
    byId("moment-on").disabled = row === rows.count - 1 && moment === moments.length - 1;
  }

  let pending = false;

  // Many events in one frame are shown once.
  function showSoon() {
    if (pending) return;
    pending = true;
    requestAnimationFrame(() => { pending = false; show(); });
  }

  function select(value, isFar = false) {
    if (value === state.selected && state.pointed === null) return;
    state.selected = value;
    state.pointed = null;
    showSoon();
    if (isFar) reveal([value]);
  }

  function point(value) {
    if (state.pointed === value) return;
    state.pointed = value;
    showSoon();
  }

  function goTo(row, moment = state.moment) {
    state.row = Math.max(0, Math.min(rows.count - 1, row));
    state.moment = Math.max(0, Math.min(moments.length - 1, moment));
    showSoon();
    const { nodes, seed } = moments[state.moment];
    if (nodes.length || seed) reveal(nodes.length ? nodes : [objective.value]);
  }

  function goToStep(step) {
    goTo(indexOfStep(stepsOfRows, step));
  }

  function moveMoment(by) {
    const place = state.moment + by;
    if (place < 0 && state.row > 0) goTo(state.row - 1, moments.length - 1);
    else if (place >= moments.length && state.row < rows.count - 1) goTo(state.row + 1, 0);
    else goTo(state.row, place);
  }

  const stepsOfRows = rows.count ? columnOf(rows.step, rows.count) : [];

  function stop() {
    if (state.timer === null) return;
    clearInterval(state.timer);
    state.timer = null;
    showPlay();
    showSoon();
  }

  function play() {
    const isSteps = byId("pace").value === "steps";
    const isAtEnd = () => state.row === rows.count - 1 && (isSteps || state.moment === moments.length - 1);
    if (isAtEnd()) goTo(0, isSteps ? state.moment : 0);
    else if (!isSteps && state.moment >= lastBackward && state.row === 0 && state.moment === lastBackward) goTo(0, 0);
    const wait = isSteps ? Math.max(40, Math.min(500, 12000 / rows.count)) : Math.max(250, Math.min(1400, 30000 / moments.length));
    state.timer = setInterval(() => {
      if (isAtEnd()) stop();
      else if (isSteps) goTo(state.row + 1);
      else moveMoment(1);
    }, wait);
    showPlay();
  }

  const togglePlay = () => (state.timer === null ? play() : stop());

  function showPlay() {
    const isPlaying = state.timer !== null;
    put(byId("play"), isPlaying ? "❚❚" : "▶");
    byId("play").setAttribute("aria-label", isPlaying ? "Pause" : "Play");
  }

  const firstOf = { [FORWARD]: 0, [BACKWARD]: Math.max(seedMoment, 0), [UPDATE]: moments.length - 1 };

  function onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const { target, key } = event;
    if (target.matches("select, textarea, input[type=search]")) return;
    const isRange = target.matches("input[type=range]");
    const isPressed = target.matches("button, a, summary, input[type=checkbox]");
    const isLetter = /^[a-zA-Z]$/.test(key);
    if (isLetter && !byId("letters").checked) return;
    const act = {
      ArrowRight: isRange ? null : () => goTo(state.row + 1),
      ArrowLeft: isRange ? null : () => goTo(state.row - 1),
      Home: isRange ? null : () => goTo(0),
      End: isRange ? null : () => goTo(rows.count - 1),
      " ": isPressed ? null : togglePlay,
      n: () => moveMoment(1),
      p: () => moveMoment(-1),
      f: () => goTo(state.row, firstOf[FORWARD]),
      b: () => goTo(state.row, firstOf[BACKWARD]),
      u: () => goTo(state.row, firstOf[UPDATE]),
    }[isLetter ? key.toLowerCase() : key];
    if (!act) return;
    event.preventDefault();
    if (key !== " ") stop();
    act();
  }

  // Up and down move the focus within a list of which one item is in the page's order of tabs.
  function roving(host, items, onMove) {
    host.addEventListener("keydown", (event) => {
      const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (!by) return;
      const all = items();
      const at = all.indexOf(document.activeElement);
      if (at < 0) return;
      event.preventDefault();
      const next = all[Math.max(0, Math.min(all.length - 1, at + by))];
      all.forEach((item) => item.setAttribute("tabindex", item === next ? 0 : -1));
      next.focus();
      onMove?.(next);
    });
  }

  function boxesInOrder() {
    const places = new Map(order.map((value, k) => [value, k]));
    return [...drawn.boxes].sort((a, b) => places.get(a.face) - places.get(b.face)).map((box) => box.group);
  }

  // The page ------------------------------------------------------------------------------------------------------

  function describeRun() {
    document.title = `${data.title} — graphrun report`;
    put(byId("title"), data.title);
    byId("title").classList.add("text");
    byId("description").replaceChildren(...data.description.map((line) => make("span", { class: "text" }, `${line} `)));
    const parts = [];
    if (isTraining) {
      parts.push([objective.maximize ? "maximize " : "minimize ", isolated(nameOf(objective.value))]);
      parts.push([[run.update.rule, ...run.update.settings].join(", ")]);
    }
    parts.push([run.steps === 1 ? "1 step" : `${whole(run.steps)} steps`]);
    if (isTraining) parts.push([`stopped: ${run.stopped}`]);
    parts.push([`${run.engine}, ${run.dtype}`]);
    if (rows.count > 1 && run.every > 1) parts.push([`one step in ${run.every} is shown`]);
    run.overrides.forEach((text) => parts.push(["with ", isolated(text)]));
    byId("summary").replaceChildren(...parts.flatMap((part, k) => (k ? [" · ", ...part] : part)));
    if (run.error) {
      byId("failure").hidden = false;
      byId("failure").replaceChildren(make("strong", {}, "The run failed. "), isolated(run.error));
    }
    const notes = values.some((entry) => entry.shape && sizeOf(entry.shape) > 2) ? ["‖ ‖ is the norm of an array"] : [];
    if (scene.note) notes.push(scene.note);
    put(byId("legend"), notes.join("; "));
  }

  function setTheme(theme) {
    document.documentElement.setAttribute("data-theme", theme);
    byId("theme").setAttribute("aria-pressed", theme === "dark");
    [...charts.map((chart) => chart.u), ...detailPlots].forEach((u) => u.redraw(false));
  }

  function start() {
    const dark = matchMedia("(prefers-color-scheme: dark)");
    setTheme(dark.matches ? "dark" : "light");
    dark.addEventListener("change", () => setTheme(dark.matches ? "dark" : "light"));
    byId("theme").addEventListener("click", () =>
      setTheme(document.documentElement.getAttribute("data-theme") === "dark" ? "light" : "dark"));
    byId("help-button").addEventListener("click", () => {
      const help = byId("help");
      help.hidden = !help.hidden;
      byId("help-button").setAttribute("aria-expanded", String(!help.hidden));
    });
    describeRun();
    buildFile();
    if (!values.length || !rows.count) {
      ["stage", "details", "values", "player"].forEach((id) => { byId(id).hidden = true; });
      return;
    }
    byId("step").max = rows.count - 1;
    byId("moment").max = moments.length - 1;
    byId("step-control").hidden = rows.count < 2;
    byId("to-backward").hidden = byId("to-update").hidden = !isTraining;
    byId("pace-label").hidden = rows.count < 2;
    if (moments.length > 60) byId("pace").value = "steps";
    byId("step").addEventListener("input", (event) => { stop(); goTo(Number(event.target.value)); });
    byId("moment").addEventListener("input", (event) => { stop(); goTo(state.row, Number(event.target.value)); });
    const press = (id, act) => byId(id).addEventListener("click", () => { stop(); act(); });
    press("step-back", () => goTo(state.row - 1));
    press("step-on", () => goTo(state.row + 1));
    press("moment-back", () => moveMoment(-1));
    press("moment-on", () => moveMoment(1));
    press("to-forward", () => goTo(state.row, firstOf[FORWARD]));
    press("to-backward", () => goTo(state.row, firstOf[BACKWARD]));
    press("to-update", () => goTo(state.row, firstOf[UPDATE]));
    byId("play").addEventListener("click", togglePlay);
    byId("pace").addEventListener("change", stop);
    byId("smaller").addEventListener("click", () => zoomTo(state.zoom / 1.25));
    byId("larger").addEventListener("click", () => zoomTo(state.zoom * 1.25));
    byId("fit").addEventListener("click", () => fit(true));
    byId("log").addEventListener("change", rebuildCharts);
    byId("more-charts").addEventListener("click", () => buildCharts(charts.length + 12));
    byId("filter-label").hidden = values.length <= 20;
    byId("filter").addEventListener("input", (event) => { buildValues(event.target.value); showTables(); });
    document.addEventListener("keydown", onKey);
    buildDrawing();
    buildParameters();
    buildValues();
    if (history.count > 1 && history.series.length) {
      byId("charts").hidden = false;
      buildCharts(SHOWN_CHARTS);
    }
    roving(byId("drawing"), boxesInOrder);
    roving(byId("file-body"), () => [...byId("file-body").querySelectorAll("button")]);
    showPlay();
    show();
    new ResizeObserver(() => {
      buildDrawing();
      if (state.fitted) fit();
      fitCharts();
      showDrawing();
    }).observe(byId("stage"));
  }

  start();
})();
