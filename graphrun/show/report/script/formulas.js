// Formulas in numbers, and what happens in a moment, in words.

// Formulas --------------------------------------------------------------------------------------------------------

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

// At a bound the rule's own result is cut off there, which is a part of the equation.
function updateLine(parameter, row) {
  const { step_size: size, sign, states } = state.course.update;
  const shape = shapeOf(parameter), { bounds } = values[parameter];
  const before = valueAt(parameter, row), move = moveAt(parameter, row);
  const isOne = nextStep(row) === stepAt(row) + 1, isScalar = shape.length === 0;
  const after = valueAfter(parameter, row) ?? (isScalar ? [before[0] + move[0]] : null);
  const name = isolated(nameOf(parameter));
  const line = [];
  if (states && isOne) {
    line.push(name.cloneNode(true), ": ");
    states.forEach((remembered, k) => line.push(`${remembered} `, asGradient(told(state.course.state(k, parameter, row), shape)), "; "));
  }
  line.push(name, " ← ");
  const operator = sign > 0 ? " + " : " − ";
  const side = isScalar && bounds ? (after[0] === bounds[1] ? "upper" : after[0] === bounds[0] ? "lower" : "") : "";
  if (size !== null && isOne) {
    const gradient = isScalar ? gradientAt(parameter, row)[0] : 0;
    const free = before[0] + sign * size * gradient;
    const isCut = side === "upper" ? free > bounds[1] : side === "lower" && free < bounds[0];
    const cut = (...parts) => (isCut ? [side === "upper" ? "minimum(" : "maximum(", ...parts, `, ${format(after[0])})`] : parts);
    line.push(...cut(name.cloneNode(true), operator, format(size), " · ", derivative(objective.value, parameter)));
    if (isScalar) line.push(" = ", ...cut(format(before[0]), operator, format(size), " · ", inParentheses(format(gradient))));
  } else {
    line.push(name.cloneNode(true), " + Δ");
    if (isScalar) line.push(" = ", format(before[0]), " + ", inParentheses(format(move[0])));
    else line.push(", Δ = ", told(move, shape));
  }
  if (after) line.push(isScalar ? " = " : ["; ", name.cloneNode(true), " = "], asValue(told(after, shape)));
  if (side) line.push(`, held at its ${side} bound`);
  else if (bounds && !isScalar) line.push(", within its bounds");
  return math(line);
}

// The story: what happens in a moment, in words -------------------------------------------------------------------

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
  if (nextStep(row) < 0) {
    return { title: "Here the run ends", lines: [math(row < lastRow() ? "the next row is not recorded" : state.course.end)] };
  }
  const top = objective.value;
  const { update } = state.course;
  const rule = update.formulas?.length ? [math(update.formulas.map(typeset).join("; "))] : [];
  const lines = rule.concat(values.flatMap((_, value) => (isParameter(value) ? [updateLine(value, row)] : [])));
  const title = [`Update ${nextStep(row) === stepAt(row) + 1 ? "" : `to step ${nextStep(row)} `}by ${update.rule}`];
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
  const now = `${version} ${state.row} ${state.moment}`;
  if (now === toldMoment) return;
  toldMoment = now;
  const { title, lines } = story(state.moment, state.row);
  const place = byId("story");
  place.setAttribute("data-phase", moments[state.moment].phase);
  place.setAttribute("aria-live", state.timer && (state.training || byId("pace").value === "steps") ? "off" : "polite");
  byId("story-title").replaceChildren(...[title].flat(Infinity));
  const most = lines.length <= SHOWN_LINES + 1 ? lines.length : SHOWN_LINES;
  const content = lines.slice(0, most).map((line) => make("div", {}, line));
  if (lines.length > most) content.push(make("div", { class: "faint" }, `and ${lines.length - most} more`));
  byId("story-lines").replaceChildren(...content);
}
