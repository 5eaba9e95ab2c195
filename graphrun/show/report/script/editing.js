// Numbers that can be typed, dragged and nudged, and the controls of the page's own steps.

// Of an array one cell is chosen: by its index in the details, for the keys and the pointer.
const cells = new Map();
const cellOf = (value) => cells.get(value) ?? 0;
const numberAt = (value, cell, budget) => asArray(passesOf(needed(state.row, budget)).leaves[value])[cell];
const cellName = (value, cell) => `${nameOf(value)}${shapeOf(value).length ? `[${placesOf(cell, shapeOf(value))}]` : ""}`;
const boundsText = (lower, upper) => (lower === -Infinity ? `at most ${upper}` : upper === Infinity ? `at least ${lower}` : `from ${lower} to ${upper}`);

function said(text, isWrong = false) {
  put(byId("said"), text);
  byId("said").classList.toggle("bad", isWrong);
}

// What is refused is told, and nothing else happens.
function trying(act) {
  try {
    said("");
    act();
    return true;
  } catch (error) {
    said(error.message, true);
    return false;
  }
}

// The step of a nudge: a tenth of the number's power of ten; a pixel is a tenth of that.
const unitOf = (x) => (Number.isFinite(x) && x !== 0 ? 10 ** (Math.floor(Math.log10(Math.abs(x))) - 1) : 0.1);

function within(value, cell, x) {
  const [lower, upper] = isParameter(value) ? boundsOf(value) : [() => -Infinity, () => Infinity];
  const inside = Math.min(Math.max(x, lower(cell)), upper(cell));
  return isWhole(value) && Number.isFinite(x) ? Math.round(inside) : inside;
}

// What selects elements is a whole number.
const isWhole = (value) => Boolean(data.live.whole?.includes(value));

function checkNumber(value, cell, x) {
  if (within(value, cell, x) !== x || (isWhole(value) && !Number.isFinite(x))) throw Error(`${cellName(value, cell)} is ${isWhole(value) ? "a whole number" : boundsText(...boundsOf(value).map((end) => end(cell)))}.`);
}

function setNumber(value, cell, text) {
  const x = Number(text.trim().replace("−", "-"));
  if (!text.trim() || Number.isNaN(x)) throw Error(`${text.trim() || "Nothing"} is no number; write one like 0.5 or 1e-3.`);
  checkNumber(value, cell, x);
  stop();
  edit([[value, cell, x]]);
}

function moveNumber(value, cell, from, by, key) {
  const move = isWhole(value) ? Math.sign(by) * Math.max(1, Math.round(Math.abs(by))) : by;
  edit([[value, cell, within(value, cell, Number((from + move).toPrecision(12)))]], key);
}

// Fields ----------------------------------------------------------------------------------------------------------

function field(value, cell = 0) {
  const span = make("span", { class: "field value", role: "spinbutton", tabindex: 0, "data-field": `${value} ${cell}`, "aria-label": cellName(value, cell) });
  return span;
}

function showField(span, text) {
  if (lastTexts.get(span) !== text) span.setAttribute("aria-valuetext", text);
  put(span, text);
}

const fieldAt = (target) => target.closest?.(".field")?.dataset.field.split(" ").map(Number);

// In the drawing a leaf's box stands for its number, or for the chosen element of a small array.
const isInDrawing = (box, face) => !box.group && isEditable(face) && isSmall(shapeOf(face));

function leafAt(target) {
  const box = drawn?.boxes.find(({ group }) => group === target.closest?.(".box"));
  return box && isInDrawing(box.box, box.face) ? [box.face, cellOf(box.face)] : null;
}

// The text becomes an input until Enter or Escape.
function typeIn(span, text) {
  const [value, cell] = fieldAt(span);
  const input = make("input", { type: "text", class: "typed", inputmode: "decimal", autocomplete: "off", "aria-label": cellName(value, cell) });
  input.value = text ?? String(numberAt(value, cell));
  span.replaceWith(input);
  input.focus();
  if (text === undefined) input.select();
  let isOver = false;
  const end = (isMeant) => {
    if (isOver || (isMeant && !trying(() => setNumber(value, cell, input.value)))) return input.setAttribute("aria-invalid", true);
    isOver = true;
    const hadFocus = document.activeElement === input;
    input.replaceWith(span);
    if (hadFocus) span.focus({ preventScroll: true });
  };
  input.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== "Escape") return;
    event.preventDefault();
    end(event.key === "Enter");
  });
  input.addEventListener("blur", () => { end(input.value !== text && input.value !== String(numberAt(value, cell))); end(false); });
}

function onFieldKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const span = event.target.closest?.(".field"), found = span ? fieldAt(span) : leafAt(event.target);
  if (!found) return;
  const [value, cell] = found;
  const up = { "+": 1, "=": 1, "-": -1, _: -1, ...(span ? { ArrowUp: 1, ArrowDown: -1 } : {}) }[event.key];
  if (up) {
    const from = numberAt(value, cell);
    trying(() => moveNumber(value, cell, from, up * unitOf(from) * (event.shiftKey ? 10 : 1), `nudge ${found}`));
  } else if (event.key === "Enter" || event.key === "F2" || (span && /^[\d.]$/.test(event.key))) {
    if (!span) select(value);
    const place = span ?? byId("details-body").querySelector(`[data-field="${value} ${cell}"]`);
    if (place) typeIn(place, /^[\d.]$/.test(event.key) ? event.key : undefined);
  } else return;
  event.preventDefault();
  event.stopPropagation();
}

let drags = 0;

// A horizontal drag moves the number by its size; without one it is a press, which lets a field be typed in.
function onFieldPress(event) {
  const span = event.target.closest?.(".field"), text = event.target.closest?.(".own");
  const found = span ? fieldAt(span) : text && leafAt(text);
  if (event.button || !found) return;
  const [value, cell] = found, place = span ?? text, from = numberAt(value, cell), start = event.clientX;
  const key = `drag ${drags += 1}`, by = unitOf(from) / 10;
  let hasMoved = false;
  event.stopPropagation();
  place.setPointerCapture(event.pointerId);
  const move = (now) => {
    const pixels = Math.round(now.clientX - start);
    if (!hasMoved && Math.abs(pixels) < 3) return;
    if (!hasMoved) stop();
    hasMoved = true;
    trying(() => moveNumber(value, cell, from, pixels * by * (now.shiftKey ? 10 : 1), key));
  };
  const end = () => {
    place.removeEventListener("pointermove", move);
    lastKey = null;
    if (!hasMoved && span) typeIn(span);
  };
  place.addEventListener("pointermove", move);
  place.addEventListener("pointerup", end, { once: true });
  place.addEventListener("pointercancel", () => place.removeEventListener("pointermove", move), { once: true });
}

// An element of a larger array, where the page has it at hand.
function shownCell(value, cell) {
  const row = grounded(state.row, 20);
  return row ? asArray(passesOf(row).leaves[value])[cell] : NaN;
}

// In the details of a leaf: its number, those of a small array, or one of a larger by its index.
function fieldsOf(value) {
  const shape = shapeOf(value), small = isSmall(shape);
  const shownCells = small ? [...Array(sizeOf(shape)).keys()] : [cellOf(value)];
  const spans = shownCells.map((cell) => {
    const span = field(value, cell);
    showField(span, format(small ? valueAt(value, state.row)[cell] : shownCell(value, cell)));
    return span;
  });
  if (!shape.length) return spans;
  if (small) return spans.flatMap((span, k) => [...(k ? [" "] : []), make("span", { class: "faint" }, `[${placesOf(k, shape)}] `), span]);
  const input = make("input", { type: "text", class: "typed", "aria-label": `index of an element of ${nameOf(value)}`, "data-field": `${value} index` });
  input.value = placesOf(cellOf(value), shape);
  input.addEventListener("change", () => trying(() => {
    const places = input.value.split(",").map(Number);
    if (places.length !== shape.length || places.some((place, k) => !(Number.isInteger(place) && place >= 0 && place < shape[k]))) throw Error(`An index of ${nameOf(value)} is ${shape.map((size) => `0 to ${size - 1}`).join(", ")}.`);
    cells.set(value, places.reduce((cell, place, k) => cell * shape[k] + place, 0));
    input.blur();
    showSoon();
  }));
  return ["[", input, "] ", ...spans];
}

// Controls --------------------------------------------------------------------------------------------------------

const liveKeys = {
  s: () => makeSteps(1),
  t: () => toggleTraining(),
  z: undo,
  y: redo,
};
const toggleTraining = () => (state.training ? stop() : trying(train));

function showLive() {
  if (!model) return;
  showChanges();
  byId("undo").disabled = !past.length;
  byId("redo").disabled = !future.length;
  byId("reset").disabled = state.course === recorded;
  if (!isTraining) return;
  setFlag(byId("train"), "aria-pressed", state.training);
  put(byId("train"), state.training ? "Pause" : "Train");
  byId("rule").value = setup.type;
  const size = stepSize(setup, stepAt(state.row));
  if (document.activeElement !== byId("size")) byId("size").value = String(Number(size.toPrecision(7)));
  byId("size-slider").value = Math.log10(size || 1e-8);
  byId("size-slider").setAttribute("aria-valuetext", byId("size").value);
  put(byId("size-note"), !setup.isKnown ? `the file's ${run.update.rule} makes no plain steps; the page does` : model.schedule && !setup.isOwn ? "by the file's schedule" : "");
  if (shownRule === setup.type) return showSettings();
  shownRule = setup.type;
  const settings = model.rules[setup.type].settings.filter(({ name }) => name !== "step_size");
  byId("rule-settings").hidden = !settings.length;
  byId("settings").replaceChildren(...settings.map(({ name, kind, least, most }) => {
    const input = make("input", kind === "flag" ? { type: "checkbox" } : { type: "text", inputmode: "decimal", class: "typed" });
    input.dataset.setting = name;
    input.addEventListener("change", () => trying(() => chooseRule(setup.type, { [name]: kind === "flag" ? input.checked : settingOf(name, input.value, least, most) })));
    return make("label", {}, `${name} `, input);
  }));
  showSettings();
}

let shownRule = null;

function showSettings() {
  for (const input of byId("settings").querySelectorAll("input")) {
    const now = setup.settings[input.dataset.setting];
    if (input.type === "checkbox") input.checked = now;
    else if (document.activeElement !== input) input.value = String(now);
  }
}

function settingOf(name, given, least, most) {
  const x = typeof given === "string" ? Number(given.trim() || NaN) : given;
  if (!Number.isFinite(x) || (least !== null && x < least) || (most !== null && x > most)) {
    throw Error(`${name} is a number${least === null && most === null ? "" : ` ${boundsText(least ?? -Infinity, most ?? Infinity)}`}, not ${given}.`);
  }
  return x;
}

const copyText = (text) => navigator.clipboard?.writeText(text).then(() => said("Copied."), () => said("This browser does not let the page copy; select the text."));

function watchLive() {
  if (!model) return;
  byId("live").hidden = false;
  for (const id of ["live-step", "train", "around", "rule-controls"]) byId(id).hidden = !isTraining;
  const press = (id, act) => byId(id).addEventListener("click", act);
  press("live-step", () => { stop(); trying(() => makeSteps(1)); });
  press("train", toggleTraining);
  press("undo", undo);
  press("redo", redo);
  press("reset", reset);
  byId("changed").addEventListener("toggle", () => { shownChanges = null; showChanges(); });
  press("copy", () => copyText(byId("changed-file").textContent));
  document.addEventListener("keydown", onFieldKey, true);
  document.addEventListener("pointerdown", onFieldPress, true);
  if (!isTraining) return;
  byId("rule").append(...Object.values(model.rules).map(({ name, doc }) => make("option", { value: name, title: doc }, name)));
  byId("rule").addEventListener("change", (event) => trying(() => chooseRule(event.target.value)));
  const { least, most } = model.rules[setup.type].settings.find(({ name }) => name === "step_size");
  byId("size").addEventListener("change", (event) => trying(() => chooseRule(setup.type, { step_size: settingOf("step_size", event.target.value, least, most) })));
  byId("size-slider").addEventListener("input", (event) => trying(() => chooseRule(setup.type, { step_size: Number((10 ** event.target.value).toPrecision(2)) }, "step_size")));
  byId("size-slider").addEventListener("change", () => { lastKey = null; });
  watchAround();
}
