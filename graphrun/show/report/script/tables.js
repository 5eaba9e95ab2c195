// The tables of parameters and values, and the graph file.

// Tables ----------------------------------------------------------------------------------------------------------

const tableRows = [];

function addRow(body, value, cells) {
  const tr = make("tr", {}, make("td", {}, valueButton(value)), ...cells);
  tr.setAttribute("data-name", nameOf(value));
  body.append(tr);
  return tr;
}

// The first cell of a leaf that is a number is a field.
function cellsOf(value, heads, given = heads) {
  const all = given.map((head) => make("td", { class: ["value", "gradient", "update"].includes(head) ? head : "" }));
  if (!heads.length || !isEditable(value) || shapeOf(value).length) return { all, shown: all };
  const span = field(value);
  all[0].append(span);
  return { all, shown: [span, ...all.slice(1)] };
}

function buildParameters() {
  const parameters = [...values.keys()].filter(isParameter);
  if (!parameters.length) return;
  byId("parameters").hidden = false;
  const body = make("tbody");
  const heads = ["value", ...(isTraining ? ["gradient", ...(data.other ? [] : ["update"])] : []), ...(data.other ? [otherTitle] : [])];
  byId("parameters-body").append(make("table", {},
    make("thead", {}, make("tr", {}, make("th", { scope: "col", class: "left" }, "name"), ...heads.map((head) => make("th", { scope: "col" }, head)))), body));
  for (const value of parameters.slice(0, SHOWN_ROWS)) {
    const { all, shown } = cellsOf(value, heads);
    tableRows.push({ tr: addRow(body, value, all), value, cells: shown, kind: "parameter" });
  }
  if (parameters.length > SHOWN_ROWS) byId("parameters-body").append(make("p", { class: "faint" }, `${SHOWN_ROWS} of ${parameters.length}`));
}

// What the fit at the end of the run is worth.
function buildWorth() {
  const { worth } = data;
  if (!worth) return;
  byId("worth").hidden = false;
  const heads = worth.header.map((head) => make("th", { scope: "col" }, head));
  const rows = worth.rows.map(([name, ...cells]) => make("tr", {}, make("td", {}, isolated(name)), ...cells.map((cell) => make("td", { class: "value" }, cell))));
  const lines = [...worth.lines, ...(worth.left_out ? [`and ${worth.left_out} more parameters`] : [])];
  byId("worth-body").append(make("table", {},
    make("thead", {}, make("tr", {}, make("th", { scope: "col", class: "left" }, "name"), ...heads)), make("tbody", {}, ...rows)));
  byId("worth").append(...lines.map((line) => make("p", { class: "faint" }, line)));
}

function buildValues(wanted = "") {
  for (let k = tableRows.length - 1; k >= 0; k -= 1) if (tableRows[k].kind === "value") tableRows.splice(k, 1);
  const body = make("tbody");
  const heads = ["value", ...(isTraining ? ["gradient"] : []), ...(data.other ? [otherTitle] : [])];
  byId("values-body").replaceChildren(make("table", {},
    make("thead", {}, make("tr", {}, make("th", { scope: "col", class: "left" }, "name"), make("th", { scope: "col", class: "left" }, "type"), ...heads.map((head) => make("th", { scope: "col" }, head)))), body));
  const found = order.filter((value) => values[value].kind !== "literal" && nameOf(value).toLowerCase().includes(wanted.toLowerCase()));
  for (const value of found.slice(0, SHOWN_ROWS)) {
    const { all, shown: cells } = cellsOf(value, isParameter(value) ? [] : heads, heads);
    const type = make("td", { class: "left faint" }, values[value].type ?? values[value].kind);
    tableRows.push({ tr: addRow(body, value, [type, ...all]), value, cells, kind: "value" });
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
    (cells[0].dataset.field ? showField : put)(cells[0], showIt(valueAt(value, row)));
    if (isTraining) put(cells[1], hasGradient(value) ? showIt(gradientAt(value, row)) : "");
    if (cells[2]?.className === "update") put(cells[2], nextStep(row) >= 0 ? brief(moveAt(value, row), shape, 6) : "");
    if (data.other) putOther(cells.at(-1), value, showIt);
    tr.classList.toggle("selected", value === near);
  }
}

// The file --------------------------------------------------------------------------------------------------------

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
