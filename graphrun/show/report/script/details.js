// What there is to know of one value.

const detailPlots = [];
let plotted = { value: null, host: null };

function valueButton(value) {
  const button = make("button", { type: "button", class: "link" }, isolated(nameOf(value)));
  button.addEventListener("click", () => select(value, true));
  return button;
}

function showDetails() {
  if (state.line) return showLine(state.line);
  const value = shown(), entry = values[value], { row } = state;
  const body = byId("details-body");
  const isTyped = body.querySelector("input.typed:focus");
  if (isTyped) return;
  const hasFocus = body.contains(document.activeElement), focused = document.activeElement.dataset?.field;
  byId("details-title").replaceChildren(isolated(entry.name));
  const facts = make("dl");
  const fact = (term, ...content) => facts.append(make("dt", {}, term), make("dd", {}, ...content));
  const what = value === objective?.value ? `${entry.type ?? entry.kind}, ${objective.maximize ? "maximized" : "minimized"}` : entry.type ?? entry.kind;
  fact("type", what);
  if (entry.shape) fact("shape", entry.shape.join(" × "));
  if (isNode(value)) fact("formula", math(isolated(entry.name), " = ", inNames(entry.formula, value)));
  if (isNode(value) && areNumbers(value) && isComputed(value)) fact("in numbers", forwardNumbers(value, row));
  fact("value", isEditable(value) ? make("span", {}, ...fieldsOf(value)) : isComputed(value) ? asValue(describe(valueAt(value, row), shapeOf(value))) : notYet());
  if (hasGradient(value)) {
    fact("gradient", isDerived(value) ? asGradient(describe(gradientAt(value, row), shapeOf(value))) : notYet());
  } else if (isTraining) {
    fact("gradient", "none");
  }
  if (data.other) otherFacts(fact, value);
  if (isParameter(value) && nextStep(row) >= 0) {
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
  const box = view.boxes[boxOf.get(value)];
  if (box?.group) content.push(make("h3", {}, `Folded in the box ${box.rows[0][0]}`), membersList(box));
  const isNew = value !== plotted.value;
  if (isNew) plotted = { value, host: make("div", { class: "plots" }) };
  body.replaceChildren(...content, plotted.host);
  if (hasFocus) (body.querySelector(`[data-field="${focused}"]`) ?? body.querySelector("button"))?.focus({ preventScroll: true });
  if ((isNew || plotted.version !== version) && lastRow() > 0) plotDetails();
  plotted.version = version;
}

function membersList(box) {
  const list = box.values.slice(0, 60).flatMap((value, k) => (k ? [", ", valueButton(value)] : [valueButton(value)]));
  if (box.values.length > 60) list.push(`, and ${box.values.length - 60} more`);
  const { row } = state, known = box.values.filter((value) => isComputed(value)), derived = box.values.filter((value) => isDerived(value));
  const told = known.length ? [`values: ${rangeOf(known.map((value) => valueAt(value, row)), known.map(shapeOf))}`] : [];
  if (derived.length) told.push(`norm of the gradient: ${format(normOf(derived.map((value) => gradientAt(value, row)), derived.map(shapeOf)), 4)}`);
  return scrolled(make("div", {}, ...told.map((text) => make("p", {}, text)), make("p", {}, ...list)));
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
