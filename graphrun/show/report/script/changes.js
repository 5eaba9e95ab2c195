// What differs from the file, the file with that in it, and what the console and tests have: window.graphrun.

const isSameNumber = (x, y) => Object.is(x, y) || x === y;
const isSameValue = (x, y) => asArray(x).every((number, k) => isSameNumber(number, asArray(y)[k]));
const nestedOf = (array, shape) => (shape.length ? Array.from({ length: shape[0] }, (_, k) => nestedOf(array.slice((k * array.length) / shape[0], ((k + 1) * array.length) / shape[0]), shape.slice(1))) : array[0]);
const written = (x) => (Number.isFinite(x) ? String(x) : Number.isNaN(x) ? ".nan" : x > 0 ? ".inf" : "-.inf");
const inYaml = (value, shape) => (shape.length ? `[${nestedOf([...value], shape).map((part) => inYaml(asArray([part].flat(Infinity)), shape.slice(1))).join(", ")}]` : written(asArray(value)[0]));

function differences() {
  const parts = [];
  if (state.course !== live) return parts;
  for (const row of live.rows) {
    for (const [key, before] of Object.entries(row.edited ?? {})) {
      const value = Number(key), after = row.given[value] ?? row.leaves[value];
      const differing = asArray(after).map((x, k) => k).filter((k) => !isSameNumber(asArray(after)[k], asArray(before)[k]));
      if (!differing.length) continue;
      const where = row.step === stepAt(0) ? "" : ` at step ${whole(row.step)}`, [k] = differing;
      parts.push(differing.length > 1 ? `${differing.length} elements of ${nameOf(value)}${where}` : `${cellName(value, k)} ${format(asArray(before)[k])} → ${format(asArray(after)[k])}${where}`);
    }
  }
  const first = live.rows.find((row) => row.recorded === undefined);
  const file = fileRule;
  if (file && setup !== file) {
    if (setup.type !== file.type) parts.push(`${file.isKnown ? file.type : run.update.rule} → ${setup.type}`);
    for (const [name, now] of Object.entries(setup.settings)) {
      const before = setup.type === file.type || name === "step_size" ? file.settings[name] : now;
      if (name === "step_size" && model.schedule ? setup.isOwn : before !== now) parts.push(`${name} ${name === "step_size" && model.schedule ? "by the schedule" : format(before)} → ${format(Number(now))}`);
    }
  }
  const made = first ? live.total - first.step : 0;
  if (made) parts.push(`${whole(made)} step${made === 1 ? "" : "s"} by the page${rowsTold()}`);
  if (first?.isRounded) parts.push(`begun at step ${whole(first.step)} from recorded numbers, of 7 digits`);
  return parts;
}

// Rows that the page has not, or not in their order, are others than the run would take.
function rowsTold() {
  if (feed?.sampled) return ` with ${feed.sampled}`;
  return feed?.order && (live.total + 1) * feed.batch > feed.order.length ? " with rows in an order of its own" : "";
}

// Lines with other values of leaves, where their place is known; the rest as options of a command.
function changedFile() {
  const lines = [...data.file.lines], options = [];
  const origin = [...live.rows].reverse().find((row) => row.edited) ?? null;
  for (const value of origin ? values.keys() : []) {
    if (!isEditable(value) || isFed(value)) continue;
    const now = origin.leaves[value];
    if (isSameValue(now, leavesOfFile[value] ?? now)) continue;
    const text = asArray(now).length <= 256 ? inYaml(now, shapeOf(value)) : null;
    if (text === null) options.push(`# ${nameOf(value)}: ${asArray(now).length} numbers, too many to write down`);
    else if (!replaceIn(lines, value, text)) options.push(`--set '${nameOf(value)}=${text}'`);
  }
  if (setup !== fileRule) {
    const clips = ["clip_norm", "clip_value"].filter((name) => setup[name] !== null);
    const given = Object.entries(setup.settings).filter(([name, now]) => name === "step_size" || now !== defaultsOf(setup.type)[name]);
    const words = [["type", setup.type], ...(model.schedule && !setup.isOwn ? given.filter(([name]) => name !== "step_size") : given), ...clips.map((name) => [name, setup[name]])];
    const isWhole = !model.schedule || setup.isOwn;
    const begin = lines.findIndex((line) => /^update\s*:/.test(line));
    let end = begin + 1;
    while (end < lines.length && /^(\s|$)/.test(lines[end])) end += 1;
    while (!lines[end - 1].trim()) end -= 1;
    const text = words.map(([name, now]) => `${name}: ${typeof now === "number" ? written(now) : now}`).join(", ");
    if (!isWhole) options.push(...words.filter(([name]) => name !== "type").map(([name, now]) => `--set update.${name}=${now}`));
    else if (begin < 0) lines.push(`update: {${text}}`);
    else lines.splice(begin, end - begin, `update: {${text}}`);
  }
  return [...lines, ...(options.length ? ["", "# What has no place in these lines, for the command:", ...options.map((option) => `# ${option.replace(/^# /, "")}`)] : [])].join("\n");
}

const leavesOfFile = model ? decodeAll(data.live.leaves) : {};
const NUMBER_IN_FILE = /^[-+]?(\.\d+|\d[\d_]*(\.\d*)?)([eE][-+]?\d+)?(?=\s*(#|,|\}|\]|$))/;

// Put another value after its name in a line, or after `value:` in what follows it; false where that is not found.
function replaceIn(lines, value, text) {
  const start = (values[value].lines?.[0] ?? 0) - 1, name = nameOf(value).replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  const replaceAt = (line, from) => {
    const rest = lines[line].slice(from);
    const space = rest.match(/^\s*/)[0].length, tail = rest.slice(space);
    const length = tail[0] === "[" ? lengthOfList(tail) : (tail.match(NUMBER_IN_FILE)?.[0].length ?? 0);
    if (!length) return false;
    lines[line] = lines[line].slice(0, from + space) + text + tail.slice(length);
    return true;
  };
  const key = lines[start]?.match(new RegExp(`(^|[\\s{,])["']?${name}["']?\\s*:(?=\\s|$)`));
  if (!key) return false;
  const from = key.index + key[0].length;
  if (replaceAt(start, from)) return true;
  const inner = lines[start].slice(from).match(/^\s*\{[^{}]*?\bvalue\s*:/);
  if (inner) return replaceAt(start, from + inner[0].length);
  const indent = lines[start].match(/^\s*/)[0].length;
  for (let line = start + 1; !lines[start].slice(from).trim() && line < lines.length && lines[line].match(/^\s*/)[0].length > indent; line += 1) {
    const found = lines[line].match(/^\s*value\s*:/);
    if (found) return replaceAt(line, found[0].length);
  }
  return false;
}

function lengthOfList(text) {
  let depth = 0;
  for (let k = 0; k < text.length; k += 1) {
    if (text[k] === "#") return 0;
    depth += { "[": 1, "]": -1 }[text[k]] ?? 0;
    if (!depth) return k + 1;
  }
  return 0;
}

let shownChanges = null;

function showChanges() {
  const key = `${version} ${stepAt(lastRow())}`;
  if (shownChanges === key || state.training) return;
  shownChanges = key;
  const parts = differences(), made = / by the page/.test(parts[0] ?? "");
  byId("changed").hidden = !parts.length || (setup === fileRule && !live.rows.some((row) => row.edited));
  put(byId("changes"), parts.length ? `${parts.length > 1 || !made ? "Not as in the file: " : ""}${parts.join(", ")}.` : "");
  if (byId("changed").open) put(byId("changed-file"), changedFile());
}

// The console -----------------------------------------------------------------------------------------------------

function nearest(name, names) {
  const distance = (a, b) => {
    let last = [...Array(b.length + 1).keys()];
    for (let i = 1; i <= a.length; i += 1) {
      const next = [i];
      for (let j = 1; j <= b.length; j += 1) next[j] = Math.min(last[j] + 1, next[j - 1] + 1, last[j - 1] + (a[i - 1] !== b[j - 1]));
      last = next;
    }
    return last[b.length];
  };
  const [best, away] = names.map((other) => [other, distance(name.toLowerCase(), other.toLowerCase())]).sort((x, y) => x[1] - y[1])[0] ?? ["", Infinity];
  return away <= Math.max(2, name.length / 3) ? `; do you mean ${JSON.stringify(best)}?` : "";
}

function known(name, names, what) {
  if (!names.includes(name)) throw Error(`${what} ${JSON.stringify(name)} is not known here${nearest(String(name), names)}`);
}

const named = [...values.keys()].filter((value) => values[value].kind !== "literal");
const ownRow = () => needed(state.row, 2e4);
const byName = (of) => Object.fromEntries(named.filter((value) => of[value] !== undefined).map((value) => [nameOf(value), nestedOf(asArray(of[value]), shapeOf(value))]));

function checked() {
  if (!model) throw Error(`This page only replays: ${data.live?.why ?? "it has nothing to compute with"}`);
}

const graphrun = {
  set(name, given) {
    checked();
    known(name, named.map(nameOf), "The value");
    const value = named.find((one) => nameOf(one) === name), shape = shapeOf(value);
    if (!isEditable(value)) throw Error(`${JSON.stringify(name)} is ${isNode(value) ? "computed from its inputs" : `of the kind ${values[value].kind}`}; set one of the leaves`);
    const shapeGiven = [];
    for (let part = given; Array.isArray(part); [part] = part) shapeGiven.push(part.length);
    const numbers = [given].flat(Infinity);
    if (shapeGiven.join() !== shape.join() || numbers.length !== sizeOf(shape) || !numbers.every((x) => typeof x === "number")) {
      throw Error(`${JSON.stringify(name)} takes ${shape.length ? `nested lists of the shape ${shape.join(" × ")}` : "a number"}`);
    }
    numbers.forEach((x, cell) => checkNumber(value, cell, x));
    stop();
    edit(numbers.map((x, cell) => [value, cell, x]));
  },
  step(count = 1) {
    checked();
    if (!Number.isInteger(count) || count < 0) throw Error(`step takes a whole number of steps, not ${count}`);
    if (!isTraining) throw Error("this graph has no objective, so there are no steps");
    stop();
    if (!makeSteps(count)) throw Error(byId("said").textContent || live.end);
    return stepAt(state.row);
  },
  rule(type, settings = {}) {
    checked();
    if (!isTraining) throw Error("this graph has no objective, so it has no rule");
    known(type, Object.keys(model.rules), "The rule");
    const taken = model.rules[type].settings;
    for (const [name, given] of Object.entries(settings)) {
      known(name, taken.map((one) => one.name), `The setting of ${type}`);
      const { kind, least, most } = taken.find((one) => one.name === name);
      if (kind === "flag" ? typeof given !== "boolean" : settingOf(name, given, least, most) !== given) throw Error(`${name} takes ${kind === "flag" ? "true or false" : "a number"}`);
    }
    stop();
    chooseRule(type, settings);
  },
  values: () => { checked(); return byName(passesOf(ownRow()).values); },
  gradients: () => { checked(); return byName(passesOf(ownRow()).gradients); },
  reset,
  undo,
  redo,
  get trains() { return Boolean(fileRule?.isKnown); },
  get now() { return stepAt(state.row); },
  get changes() { return differences(); },
  get file() { return changedFile(); },
};
window.graphrun = graphrun;
