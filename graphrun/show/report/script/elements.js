// What the page is made of: the report's data, elements, and numbers as text. Whatever comes from a graph file is shown
// by textContent and setAttribute alone.

const data = JSON.parse(document.getElementById("data").textContent);
const { values, edges, waves, rows, history, scene, run, objective } = data;
const isTraining = objective !== null;
const FORWARD = "forward", BACKWARD = "backward", UPDATE = "update";
const SHOWN_LINES = 4, SHOWN_ROWS = 400, SHOWN_CHARTS = 13, SMALLEST = 0.85, LONGEST_LABEL = 26;

// Elements --------------------------------------------------------------------------------------------------------

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

// Asking an element for its text takes longer than remembering it; true where it is another one now.
function put(element, text) {
  if (lastTexts.get(element) === text) return false;
  lastTexts.set(element, text);
  element.textContent = text;
  return true;
}

// What stays the same is laid out once.
function setTo(element, name, value) {
  if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
}

function setFlag(element, name, on) {
  if (on) setTo(element, name, "true");
  else if (element.hasAttribute(name)) element.removeAttribute(name);
}

const isolated = (text) => make("bdi", {}, text);
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

// Numbers ---------------------------------------------------------------------------------------------------------

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

const whole = new Intl.NumberFormat("en-US").format;
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

// What several values come to: the smallest and the largest element, and the norm of all.
function rangeOf(given, shapes) {
  const ends = given.flatMap((numbers, k) => (isSmall(shapes[k]) ? numbers : numbers.slice(0, 2)));
  if (!ends.length) return "";
  const [least, most] = [ends.reduce((a, b) => Math.min(a, b)), ends.reduce((a, b) => Math.max(a, b))].map((x) => format(x, 4));
  return least === most ? `all ${least}` : `${least} to ${most}`;
}

const normOf = (given, shapes) => Math.hypot(...given.map((numbers, k) => (isSmall(shapes[k]) ? Math.hypot(...numbers) : numbers[2])));

const inParentheses = (text) => (/^[−-]/.test(text) ? `(${text})` : text);

function numberIn(column, row, columns = data.columns) {
  const stored = columns[column];
  return Number(Array.isArray(stored) ? stored[row] : stored);
}

const numbersIn = (columns, row, all) => (columns ? columns.map((column) => numberIn(column, row, all)) : null);
const columnOf = (column, count, all) =>
  Array.from({ length: count }, (_, row) => numberIn(column, row, all));
