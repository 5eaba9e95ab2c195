// A second run beside the first one: its curves, its numbers at the same step, and what differs between the files.

const { other } = data;
const otherTitle = other.title === data.title || other.title.length > 24 ? "the other" : other.title;
const otherValues = new Map(other.values.map((name, value) => [name, value]));
const otherSteps = other.rows.count ? columnOf(other.rows.step, other.rows.count, other.columns) : [];
const otherHistory = other.history.count ? columnOf(other.history.step, other.history.count, other.columns) : [];
const otherRow = () => indexOfStep(otherSteps, stepAt(state.row));

// What a value of the same name and shape is there; nothing before that run's first row.
function otherOf(table, value) {
  const row = otherRow(), columns = other.rows[table]?.[otherValues.get(nameOf(value))];
  if (!columns || !(otherSteps[row] <= stepAt(state.row)) || columns.length !== valueAt(value, 0).length) return null;
  return numbersIn(columns, row, other.columns);
}

const isEqual = (a, b) => a.every((x, k) => Object.is(x, b[k]) || Math.abs(x - b[k]) <= 1e-6 * Math.max(Math.abs(x), Math.abs(b[k])));

// A cell with what the other run has there, marked where that is another number.
function putOther(cell, value, showIt) {
  const numbers = otherOf("values", value);
  put(cell, numbers ? showIt(numbers) : "–");
  cell.classList.toggle("differs", Boolean(numbers) && !isEqual(numbers, valueAt(value, state.row)));
}

function otherFacts(fact, value) {
  const shape = shapeOf(value), numbers = otherOf("values", value), slopes = hasGradient(value) ? otherOf("gradients", value) : null;
  fact(otherTitle, numbers ? asValue(describe(numbers, shape)) : "–", ...(slopes ? [", gradient ", asGradient(describe(slopes, shape))] : []));
}

// Curves -----------------------------------------------------------------------------------------------------------

const bothSteps = () => [...new Set([...state.course.history.steps, ...otherHistory])].sort((a, b) => a - b);

function otherLines(series, labels) {
  const found = other.history.series.find(({ name, holdout, columns }) => name === series.name && !holdout && columns.length === series.columns.length);
  return (found?.columns ?? []).map((column, k) => ({
    steps: otherHistory, column: () => columnOf(column, other.history.count, other.columns), label: `${otherTitle} ${labels[k]}`.trim(),
  }));
}

// What differs -----------------------------------------------------------------------------------------------------

function buildCompared() {
  const { run: theirs } = other, top = other.objective;
  const rule = ({ update }) => (update ? [update.rule, ...update.settings].join(", ") : "none");
  const last = (columns, table, value, row) => (value ? format(numbersIn(table[value.slot], row, columns)[0]) : "–");
  const facts = [
    ["steps", whole(run.steps), whole(theirs.steps)],
    ["stopped", run.stopped, theirs.stopped],
    ["rule", rule(run), rule(theirs)],
    ...(isTraining ? [[["at the end, ", isolated(nameOf(objective.value))],
      last(data.columns, rows.values, { slot: objective.value }, rows.count - 1),
      last(other.columns, other.rows.values, top === null ? null : { slot: top }, other.rows.count - 1)]] : []),
  ];
  const from = other.resumed ? [" from ", isolated(other.resumed)] : [];
  const card = make("section", { id: "compared", class: "card", "aria-labelledby": "compared-title" },
    make("h2", { id: "compared-title" }, "Compared with ", isolated(other.title), ...from),
    scrolled(table(["", "this run", otherTitle], facts)), make("p", { id: "compared-step", class: "faint" }));
  if (theirs.error) card.append(make("p", { class: "bad" }, "That run failed. ", isolated(theirs.error)));
  const told = [...theirs.overrides, ...other.differences];
  card.append(make("h3", {}, told.length ? "What differs in the files" : "The files say the same"));
  card.append(make("ul", {}, ...told.map((line) => make("li", {}, isolated(line)))));
  byId("details").after(card);
  const body = byId("file-body");
  for (const [start, end, lines] of other.changes) {
    const changed = [...body.children].slice(start, end);
    changed.forEach((row) => row.classList.add("differs"));
    const row = body.children[Math.max(0, Math.min(Math.max(start, end - 1), body.querySelectorAll(".row").length - 1))];
    // Whatever the other file has there stands below.
    if (row && lines.length) row.append(make("code", { class: "other", "aria-label": `in ${otherTitle}` }, lines.join("\n")));
  }
}

function showCompared() {
  const step = otherSteps[otherRow()];
  put(byId("compared-step"), step <= stepAt(state.row) ? `Its numbers are those at step ${whole(step)}.` : "It has no row of this step.");
}
