// The graph, the passes as a list of moments, and where the reader is.

// The graph -------------------------------------------------------------------------------------------------------

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

const valueAt = (value, row) => state.course.value(value, row);
const gradientAt = (value, row) => state.course.gradient(value, row);
const localAt = (edge, row) => state.course.local(edge, row);
const contributionAt = (edge, row) => state.course.contribution(edge, row);
const moveAt = (value, row) => state.course.move(value, row);
const stepAt = (row) => state.course.step(row);
const nextStep = (row) => state.course.next(row);
const lastRow = () => state.course.count - 1;
const hasGradient = (value) =>
  isTraining && (value === objective.value || isNode(value) || isParameter(value) || edgesFrom[value].some(carries));

// What a parameter becomes by the update: known where the next row is that of the next step.
function valueAfter(parameter, row) {
  return row < lastRow() && stepAt(row + 1) === nextStep(row) && !state.course.isEdited(row + 1) ? valueAt(parameter, row + 1) : null;
}

// The passes as a list of moments ---------------------------------------------------------------------------------

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

// The course: the rows that are shown -------------------------------------------------------------------------------

// The run of the file, as it was recorded; of each value there are parts: the numbers of a small one, the smallest,
// the largest and the norm of a larger. `next` is the step that a row's update led to, -1 where there is none.
const recorded = {
  ...readRun(),
  step: (row) => numberIn(rows.step, row),
  next: (row) => (rows.next === undefined ? -1 : numberIn(rows.next, row)),
  value: (value, row) => numbersIn(rows.values[value], row),
  gradient: (value, row) => numbersIn(rows.gradients?.[value], row),
  local: (edge, row) => numbersIn(rows.locals?.[edge], row),
  contribution: (edge, row) => numbersIn(rows.contributions?.[edge], row),
  move: (value, row) => numbersIn(rows.moves?.[value], row),
  state: (k, value, row) => numbersIn(rows.states?.[k]?.[value], row),
  isEdited: () => false,
  array: () => null,
  slope: () => null,
};

// What becomes more as a run goes on.
function readRun() {
  return {
    count: rows.count,
    total: run.steps,
    update: run.update,
    end: `after ${run.steps} steps: ${run.stopped}`,
    // What the charts show: of each series the columns, by what makes them.
    history: {
      steps: history.count ? columnOf(history.step, history.count) : [],
      series: history.series.map((series) => ({ ...series, columns: series.columns.map((column) => () => columnOf(column, history.count)) })),
    },
  };
}

// State -----------------------------------------------------------------------------------------------------------

const state = {
  course: recorded,
  row: 0,
  moment: lastBackward,
  selected: isTraining ? objective.value : (order[order.length - 1] ?? 0),
  pointed: null,
  line: null,
  sheet: null,
  timer: null,
  training: false,
  zoom: null,
};
// What else is built at the start, and shown anew with each state.
const starters = [], followers = [];
const shown = () => state.pointed ?? state.selected;
const isComputed = (value) => valueMoment[value] <= state.moment;
const isDerived = (value) => hasGradient(value) && gradientMoment[value] <= state.moment;
