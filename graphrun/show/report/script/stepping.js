// What one row comes to, and what one step makes of it: passes, the update rule, clipping, bounds.

// So many rows, and numbers in all of them, are kept; a frame's share of the steps, and what may take longer, in ms.
const ROWS = 1001, NUMBERS = 4e6, SLICE = 6, FUTURE = 1500;
const EDITABLE = ["parameter", "frozen parameter", "constant", "data", "state"];
const isEditable = (value) => Boolean(model) && EDITABLE.includes(values[value].kind) && sizeOf(shapeOf(value)) > 0;
const parameters = [...values.keys()].filter(isParameter);
const isFed = (value) => values[value].kind === "data" && Boolean(data.live.rows);
const firstState = model && (data.live.first ? stateOf(data.live.first) : { step: recorded.count ? recorded.step(0) : 0, leaves: decodeAll(data.live.leaves), memory: {} });

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
