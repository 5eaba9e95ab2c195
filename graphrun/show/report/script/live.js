// The course that the page computes: what was recorded up to some row, and from there on rows of its own.

const ROWS = 1001, NUMBERS = 4e6, SLICE = 6, FUTURE = 1500;
const EDITABLE = ["parameter", "frozen parameter", "constant", "data", "state"];
const isEditable = (value) => Boolean(model) && EDITABLE.includes(values[value].kind) && sizeOf(shapeOf(value)) > 0;
const parameters = [...values.keys()].filter(isParameter);
const isFed = (value) => values[value].kind === "data" && Boolean(data.live.rows);
const start0 = model && (data.live.first ? stateOf(data.live.first) : { step: recorded.count ? recorded.step(0) : 0, leaves: decodeAll(data.live.leaves), memory: {} });

// Of what stands for a value, where in a row's numbers it begins.
const places = [];
const partsCount = values.reduce((sum, _, value) => { places.push(sum); return sum + (isSmall(shapeOf(value)) ? sizeOf(shapeOf(value)) : 3); }, 0);

function partsOf(value, shape) {
  if (typeof value === "number") return [value];
  if (isSmall(shape)) return [...value];
  let least = Infinity, most = -Infinity;
  for (const x of value) {
    if (!(x >= least)) least = x;
    if (!(x <= most)) most = x;
  }
  return [least, most, normOfAll([value])];
}

// Scaled by the largest, so that no square overflows.
function normOfAll(arrays) {
  let most = 0, sum = 0;
  for (const array of arrays) for (const x of array) most = Math.max(most, Math.abs(x));
  if (!(most > 0) || most === Infinity) return most;
  for (const array of arrays) for (const x of array) sum += (x / most) ** 2;
  return most * Math.sqrt(sum);
}

const asArray = (value) => (typeof value === "number" ? [value] : value);

// The rule, as it is set: that of the file, or what the page chose; its own step size takes the place of a schedule.
function ruleOfFile() {
  if (!model || !isTraining) return null;
  const found = data.live.update && model.rules[data.live.update.type] ? data.live.update : null;
  const type = found?.type ?? Object.keys(model.rules)[0];
  return { clip_norm: null, clip_value: null, ...found, type, settings: { ...defaultsOf(type), ...found?.settings }, isOwn: false, isKnown: Boolean(found) };
}
const defaultsOf = (type) => Object.fromEntries(model.rules[type].settings.map(({ name, default: value }) => [name, value]));
const fileRule = ruleOfFile();
let setup = fileRule;
const stepSize = (rule, step) => (model.schedule && !rule.isOwn ? model.schedule(step) : rule.settings.step_size);

// Passes and updates of a row -------------------------------------------------------------------------------------

let kept = [];

// Of the rows that were asked for last, the passes are kept.
function passesOf(row) {
  let found = kept.find((one) => one.row === row);
  if (found) return found;
  const leaves = Object.assign(row.leaves.slice(), fed(row.step), row.given);
  found = { row, leaves, ...model.compute(leaves) };
  kept = [found, ...kept.slice(0, 2)];
  return found;
}

const edgesOf = (found) => (found.edges ??= isTraining ? model.edges(found.values, found.gradients) : { locals: {}, contributions: {} });

function clipped(gradients, { clip_value: value, clip_norm: limit }) {
  let found = gradients;
  if (value !== null) found = found.map((gradient) => gradient.map((x) => Math.min(Math.max(x, -value), value)));
  if (limit !== null) {
    const root = Math.sqrt(Math.min(1, limit / (normOfAll(found) + 1e-6)));
    found = found.map((gradient) => gradient.map((x) => x * root * root));
  }
  return found;
}

// What one step makes of a row: the leaves, and what the rule remembers.
function updateOf(row) {
  const found = passesOf(row);
  if (found.update) return found.update;
  const { setup: rule } = row, { update, states } = model.rules[rule.type];
  const leaves = row.leaves.slice(), memory = Object.fromEntries(states.map((name) => [name, {}]));
  const slopes = clipped(parameters.map((p) => asArray(found.gradients[p] ?? asArray(row.leaves[p]).map(() => 0))), rule);
  parameters.forEach((p, n) => {
    const isNumber = typeof row.leaves[p] === "number", before = asArray(row.leaves[p]);
    const factors = data.live.factors?.[p] ?? {}, settings = { ...rule.settings, step_size: stepSize(rule, row.step) };
    for (const [name, factor] of Object.entries(factors)) settings[name] *= factor;
    const [lower, upper] = boundsOf(p);
    const old = states.map((name) => asArray(row.memory[name]?.[p] ?? 0)), made = [before, ...old].map(() => new Float64Array(before.length));
    const sign = objective.maximize ? -1 : 1, given = states.map(() => 0);
    for (let k = 0; k < before.length; k += 1) {
      for (let s = 0; s < old.length; s += 1) given[s] = old[s].length > 1 ? old[s][k] : old[s][0];
      const result = update(before[k], sign * slopes[n][k], row.step + 1, given, settings);
      made[0][k] = Math.min(Math.max(result[0], lower(k)), upper(k));
      for (let s = 1; s < made.length; s += 1) made[s][k] = result[s];
    }
    leaves[p] = isNumber ? made[0][0] : made[0];
    states.forEach((name, k) => { memory[name][p] = isNumber ? made[k + 1][0] : made[k + 1]; });
  });
  Object.assign(leaves, found.states);
  found.update = { leaves, memory };
  return found.update;
}

const decodedBounds = new Map();

// The lower and the upper end of each element.
function boundsOf(value) {
  if (!decodedBounds.has(value)) {
    const ends = (data.live.bounds[value] ?? [-Infinity, Infinity]).map(decode);
    decodedBounds.set(value, ends.map((end) => (typeof end === "number" ? () => end : (k) => end[k % end.length])));
  }
  return decodedBounds.get(value);
}

// A step is made from where the objective and the parameters' gradients are finite.
function isFiniteAt(row) {
  const { values: found, gradients } = passesOf(row);
  return (row.isFinite ??= [found[objective.value], ...parameters.map((p) => gradients[p] ?? 0)].every((value) => asArray(value).every(Number.isFinite)));
}

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
  gradient: (value, row) => at(row, (k) => recorded.gradient(value, k), (own) => (partsIn(own) && own.has[value] ? cut(own.parts.gradients, value) : cut(own.parts.values, value).map(() => 0))),
  local: (edge, row) => at(row, (k) => recorded.local(edge, k), (own) => partsOrNull(edgesOf(passesOf(own)).locals[edge], edges[edge][1])),
  contribution: (edge, row) => at(row, (k) => recorded.contribution(edge, k), (own) => partsOrNull(edgesOf(passesOf(own)).contributions[edge], edges[edge][0])),
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
  if (!exact.size) exact.set(start0.step, begun(start0));
  if (data.live.last?.step === step && !exact.has(step)) exact.set(step, begun(stateOf(data.live.last)));
  let row = exact.get(step) ?? exact.get(Math.max(...[...exact.keys()].filter((known) => known < step)));
  while (fileRule?.isKnown && row.step < step && isFiniteAt(row) && performance.now() - begin < budget) row = following(row);
  if (exact.size > 40) {
    exact.clear();
    exact.set(start0.step, begun(start0));
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
  const leaves = leavesList(start0.leaves);
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
const moment0 = () => ({ course: state.course, rows: [...live.rows], stride: live.stride, row: state.row, setup });

// What belongs to one gesture is undone at once.
function remember(key = null) {
  if (key !== null && key === lastKey) return;
  lastKey = key;
  past.push(moment0());
  if (past.length > 200) past.shift();
  future.length = 0;
}

function goBack(from, to) {
  if (!from.length) return;
  stop();
  to.push(moment0());
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
