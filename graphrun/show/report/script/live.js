// The course that the page computes: what was recorded up to some row, and from there on rows of its own.

// Rows ------------------------------------------------------------------------------------------------------------

const makeRow = (row) => ({ leaves: [], memory: {}, setup, given: {}, edited: null, ...row });
const leavesList = (leaves) => Object.assign([], leaves);

function partsIn(row) {
  if (row.parts) return row.parts;
  const found = passesOf(row);
  const all = (of) => {
    const numbers = new Float64Array(partsCount).fill(NaN);
    of.forEach((value, slot) => value !== undefined && numbers.set(partsOf(value, shapeOf(slot)), places[slot]));
    return numbers;
  };
  row.parts = { values: all(found.values), gradients: isTraining ? all(found.gradients) : null };
  for (const take of takers) take(row, found);
  row.has = isTraining && found.gradients.map((gradient) => gradient !== undefined);
  return row.parts;
}

// What else is taken of the passes of a row that is shown.
const takers = [];

const cut = (numbers, value) => [...numbers.subarray(places[value], places[value + 1] ?? partsCount)];
const mostRows = () => Math.max(3, Math.min(ROWS, Math.floor(NUMBERS / Math.max(2 * partsCount, parameters.reduce((sum, p) => sum + sizeOf(shapeOf(p)), 0) * 4))));

const live = {
  rows: [],
  stride: Math.max(1, run.every),
  get count() { return live.rows.length; },
  get total() { return live.step(live.count - 1); },
  get end() { return isTraining ? "the next step would not be finite" : "nothing is trained here"; },
  get update() { return live.rows[state.row].recorded === undefined ? updateTold(live.rows[state.row].setup) : run.update; },
  isEdited: (row) => Boolean(live.rows[row].edited),
  step: (row) => live.rows[row].step,
  next: (row) => at(row, (k) => recorded.next(k), (own) => (isTraining && isFiniteAt(own) ? own.step + 1 : -1)),
  value: (value, row) => at(row, (k) => recorded.value(value, k), (own) => cut(partsIn(own).values, value)),
  gradient: (value, row) => at(row, (k) => recorded.gradient(value, k), (own) => (partsIn(own) && own.has[value] ? cut(own.parts.gradients, value) : nothing(value))),
  local: (edge, row) => at(row, (k) => recorded.local(edge, k), (own) => partsOrNull(edgesOf(passesOf(own)).locals[edge], edges[edge][1])),
  contribution: (edge, row) => at(row, (k) => recorded.contribution(edge, k), (own) => partsOrNull(edgesOf(passesOf(own)).contributions[edge], edges[edge][0]) ?? nothing(edges[edge][0])),
  move: (value, row) => at(row, (k) => recorded.move(value, k), (own) => {
    const before = own.leaves[value], after = updateOf(own).leaves[value];
    return partsOf(typeof before === "number" ? after - before : after.map((x, k) => x - before[k]), shapeOf(value));
  }),
  state: (k, value, row) => at(row, (r) => recorded.state(k, value, r), (own) => partsOf(updateOf(own).memory[model.rules[own.setup.type].states[k]][value], shapeOf(value))),
  array: (value, row) => at(row, () => null, (own) => asArray(passesOf(own).values[value])),
  slope: (value, row) => at(row, () => null, (own) => asArray(passesOf(own).gradients[value] ?? 0)),
  get history() {
    // What is held back is not computed here.
    const column = (series, k) => () => live.rows.map((_, row) => (series.value === null || series.holdout ? null : live.value(series.value, row)[k]));
    return {
      steps: live.rows.map((row) => row.step),
      series: recorded.history.series.map((series) => ({ ...series, columns: series.columns.map((_, k) => column(series, k)) })),
    };
  },
};
const at = (row, ofRecorded, ofOwn) => (live.rows[row].recorded === undefined ? ofOwn(live.rows[row]) : ofRecorded(live.rows[row].recorded));
// What the objective does not depend on carries nothing back.
const nothing = (slot) => Array(isSmall(shapeOf(slot)) ? sizeOf(shapeOf(slot)) : 3).fill(0);
const partsOrNull = (value, slot) => (value === undefined ? null : partsOf(value, shapeOf(slot)));

// What the story tells of a rule; only plain gradient descent is an equation of what is shown.
function updateTold(rule) {
  if (rule === null) return null;
    const isPlain = rule.type === "sgd" && !rule.settings.weight_decay && rule.clip_norm === null && rule.clip_value === null;
  return {
    rule: rule.type,
    step_size: isPlain && (rule.isOwn || !model.schedule) && !data.live.factors ? rule.settings.step_size : null,
    sign: objective.maximize ? 1 : -1,
    states: model.rules[rule.type].states.length ? model.rules[rule.type].states : undefined,
    formulas: rule === fileRule && rule.isKnown ? run.update.formulas : [],
  };
}

// Rows of the run as the page makes them again: the first and the last are there, others are steps from one before.
const exact = new Map();

function replayed(step, budget) {
  const begin = performance.now();
  if (!exact.size) exact.set(firstState.step, begun(firstState));
  if (data.live.last?.step === step && !exact.has(step)) exact.set(step, begun(stateOf(data.live.last)));
  let row = exact.get(step) ?? exact.get(Math.max(...[...exact.keys()].filter((known) => known < step)));
  while (fileRule?.isKnown && row.step < step && isFiniteAt(row) && performance.now() - begin < budget) row = following(row);
  if (exact.size > 40) {
    exact.clear();
    exact.set(firstState.step, begun(firstState));
  }
  exact.set(row.step, row);
  return row.step === step ? row : null;
}

// A row that is shown as one to go on from. Where making it again takes too long or is not possible, the recorded
// numbers have to do; null where there are not all of them.
function grounded(index, budget = FUTURE) {
  if (state.course === live && live.rows[index].recorded === undefined) return live.rows[index];
  const row = replayed(stepAt(index), budget);
  if (row) return row;
  const moving = [...values.keys()].filter((value) => isParameter(value) || values[value].kind === "state");
  if ((fileRule?.isKnown && budget < FUTURE) || !moving.every((value) => isSmall(shapeOf(value)))) return null;
  const leaves = leavesList(firstState.leaves);
  for (const value of moving) leaves[value] = shapeOf(value).length ? Float64Array.from(valueAt(value, index)) : valueAt(value, index)[0];
  return makeRow({ step: stepAt(index), leaves, setup: fileRule });
}

function needed(index, budget) {
  const row = grounded(index, budget);
  if (!row) throw Error(`Step ${whole(stepAt(index))} cannot be made again by the page; begin at the first or the last one.`);
  return row;
}

const begun = ({ step, leaves, memory }) => makeRow({ step, leaves: leavesList(leaves), memory, setup: fileRule });
const following = (row) => makeRow({ step: row.step + 1, setup: row.setup, ...updateOf(row) });

// The page's own course up to a row, which is one of its own then.
function goLive(index) {
  const row = needed(index);
  const before = state.course === live ? live.rows.slice(0, index) : Array.from({ length: index }, (_, k) => ({ step: recorded.step(k), recorded: k }));
  return [...before, row];
}

// A row as it is under the rule that is set now.
const under = (row) => (row.setup === setup ? row : { ...row, setup, memory: row.setup?.type === setup?.type ? row.memory : {} });

// One step from the last row on; false where it is not made.
function stepOn() {
  const { rows: own } = live, row = under(own[own.length - 1]);
  if (!isTraining || !isFiniteAt(row)) return false;
  own[own.length - 1] = row;
  const next = following(row);
  if (!isFiniteAt(next)) { said(`Step ${next.step} is not made: something in it is not finite.`); return false; }
  if (row.step % live.stride && own.length > 1 && !row.edited) own.pop();
  if (next.step % live.stride === 0 && own.length >= mostRows()) {
    live.stride *= 2;
    live.rows = own.filter((one, k) => one.step % live.stride === 0 || one.edited || k === 0);
  }
  live.rows.push(next);
  if (next.step % live.stride === 0) partsIn(next);
  return true;
}

// Steps up to one, in slices between which the page shows what there is; what would take long is left to the reader.
let wanted = null, isWaiting = false;

function goOn(step) {
  wanted = step;
  const begin = performance.now(), from = live.total, keeps = live.count;
  while (live.total < wanted && performance.now() - begin < SLICE) if (!stepOn()) wanted = null;
  if (wanted === null || live.total >= wanted) { wanted = null; return; }
  if (((performance.now() - begin) / (live.total - from)) * (wanted - live.total) > FUTURE) {
    wanted = null;
    live.rows = live.rows.slice(0, keeps);
  } else if (!isWaiting) {
    isWaiting = true;
    requestAnimationFrame(() => {
      isWaiting = false;
      if (wanted === null) return;
      goOn(wanted);
      changed();
    });
  }
}

// What is shown is another course, or other rows of it.
let version = 0;

function changed(course = live) {
  version += 1;
  state.course = course;
  state.row = Math.min(state.row, lastRow());
  showSoon();
}

// Undo ------------------------------------------------------------------------------------------------------------

const past = [], future = [];
let lastKey = null;
const asItIs = () => ({ course: state.course, rows: [...live.rows], stride: live.stride, row: state.row, setup });

// What belongs to one gesture is undone at once.
function remember(key = null) {
  if (key !== null && key === lastKey) return;
  lastKey = key;
  past.push(asItIs());
  if (past.length > 200) past.shift();
  future.length = 0;
}

function goBack(from, to) {
  if (!from.length) return;
  stop();
  to.push(asItIs());
  const then = from.pop();
  wanted = lastKey = null;
  ({ stride: live.stride, rows: live.rows, setup } = then);
  state.row = then.row;
  changed(then.course);
}
const undo = () => goBack(past, future), redo = () => goBack(future, past);

function reset() {
  if (state.course === recorded) return;
  stop();
  remember();
  wanted = null;
  setup = fileRule;
  live.rows = [];
  live.stride = Math.max(1, run.every);
  state.row = 0;
  changed(recorded);
}

// Changes ---------------------------------------------------------------------------------------------------------

// Put leaves elsewhere, [value, cell, number] each, in the row that is shown; the rows after it are made again.
function edit(changes, key = null) {
  const target = stepAt(lastRow());
  const own = goLive(state.row), old = own.pop();
  remember(key);
  const row = makeRow({ ...under(old), leaves: old.leaves.slice(), given: { ...old.given }, edited: { ...old.edited }, parts: null, isFinite: undefined });
  for (const [value, cell, number] of changes) {
    const home = isFed(value) ? row.given : row.leaves, before = passesOf(old).leaves[value];
    row.edited[value] ??= before;
    if (typeof before === "number") home[value] = number;
    else {
      if (home[value] === undefined || home[value] === before) home[value] = before.slice();
      home[value][cell] = number;
    }
  }
  replaceRow(own, row, target);
}

function replaceRow(own, row, target) {
  if (state.course === recorded) live.stride = Math.max(1, run.every);
  live.rows = [...own, row];
  state.course = live;
  goOn(isTraining && setup.isKnown ? target : row.step);
  changed();
}

// Another rule, or other settings of it, from the row that is shown on.
function chooseRule(type, settings = {}, key = null) {
  const target = stepAt(lastRow());
  const own = goLive(state.row), old = own.pop();
  remember(key);
  const isSame = type === setup.type;
  setup = { ...setup, type, isKnown: true, settings: { ...(isSame ? setup.settings : { ...defaultsOf(type), step_size: setup.settings.step_size }), ...settings }, isOwn: setup.isOwn || !isSame || "step_size" in settings || !model.schedule };
  replaceRow(own, under(old), target);
}

// So many steps from the row that is shown: rows that are there already, then new ones.
function makeSteps(count) {
  if (!isTraining || !model) return false;
  const target = stepAt(state.row) + count;
  remember();
  let index = state.row;
  while (index < lastRow() && stepAt(index + 1) <= target) index += 1;
  if (stepAt(index) < target) {
    wanted = null;
    live.rows = goLive(index);
    state.course = live;
    while (live.total < target && stepOn());
    index = live.count - 1;
    state.row = index;
    changed();
  }
  goTo(index);
  return stepAt(state.row) === target;
}

// Training: a step a frame at first, then as many as fit.
function train() {
  if (!isTraining || !model) return;
  stop();
  remember();
  const begin = performance.now();
  wanted = null;
  live.rows = goLive(state.row);
  state.course = live;
  state.timer = setInterval(() => {
    const now = performance.now(), most = 2 ** Math.floor((now - begin) / 1000);
    for (let k = 0; k < most && performance.now() - now < 10; k += 1) if (!stepOn()) { stop(); break; }
    state.row = live.count - 1;
    changed();
  }, 16);
  state.training = true;
  showPlay();
}
