// Worksheets: some of the numbers of a step are blank until they are answered, and wrong answers are looked at.

const KINDS = { values: "values", derivatives: "derivatives", contributions: "what edges give back" };
const SHEET = { kinds: ["values", "derivatives"], count: 6, of: [], seed: 1 };

// Numbers that a seed gives, as mulberry32 does.
function drawnFrom(seed) {
  let at = seed >>> 0;
  return () => {
    at = (at + 0x6d2b79f5) | 0;
    let t = Math.imul(at ^ (at >>> 15), 1 | at);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

const isNumber = (value) => shapeOf(value).length === 0;

// All that can be asked, in the order of the passes: what it takes has to be seen, and not be folded away.
function questions({ kinds, of }) {
  const faces = new Set(drawn.boxes.filter(({ box }) => hasFace(box)).map(({ face }) => face));
  const isSeen = (value) => values[value].kind === "literal" || (faces.has(value) && isNumber(value));
  const isWanted = (value) => faces.has(value) && isNumber(value) && (!of.length || of.includes(nameOf(value)));
  const found = { values: [], derivatives: [], contributions: [] };
  for (const node of waves.flat()) if (isWanted(node) && values[node].inputs.every(isSeen)) found.values.push({ kind: "values", value: node });
  const back = [...order].reverse().filter((value) => isTraining && isWanted(value) && value !== objective.value);
  for (const value of back) {
    const uses = edgesFrom[value].filter(carries);
    if (uses.length && uses.every((edge) => isSeen(edges[edge][1]))) found.derivatives.push({ kind: "derivatives", value });
  }
  for (const node of [...waves.flat()].reverse()) {
    for (const edge of edgesInto[node]) if (carries(edge) && isWanted(edges[edge][0]) && isSeen(node)) found.contributions.push({ kind: "contributions", value: edges[edge][0], edge });
  }
  return kinds.flatMap((kind) => found[kind]).filter((question) => Number.isFinite(numberOf(question)));
}

function chosenQuestions(setup) {
  const all = questions(setup), next = drawnFrom(setup.seed), keys = new Map(all.map((question) => [question, next()]));
  const chosen = new Set([...all].sort((a, b) => keys.get(a) - keys.get(b)).slice(0, setup.count));
  return all.filter((question) => chosen.has(question)).map((question) => ({ ...question, id: question.edge ?? question.value, tries: 0, isDone: false, wasShown: false }));
}

const numberOf = ({ kind, value, edge }, row = state.row) =>
  (kind === "values" ? valueAt(value, row) : kind === "derivatives" ? gradientAt(value, row) : contributionAt(edge, row))[0];

// Answers ----------------------------------------------------------------------------------------------------------

function readAnswer(text) {
  const found = text.trim().replace(/[−–]/g, "-").replace(/\s*[·×x*]\s*10\^/i, "e").replace(",", ".").match(/^([-+]?[\d.]+(?:e[-+]?\d+)?)(?:\s*\/\s*([-+]?[\d.]+))?$/i);
  const x = found ? Number(found[1]) / Number(found[2] ?? 1) : NaN;
  const digits = found && !found[2] ? found[1].replace(/e.*$/i, "").replace(/[-+.]/g, "").replace(/^0+/, "").length : 9;
  return Number.isFinite(x) ? { x, digits } : null;
}

// The digits that the answer has are compared, if those are enough; what rounding on the way does is let pass.
function agrees({ x, digits }, wanted) {
  if (wanted === 0 || !Number.isFinite(wanted)) return Math.abs(x - wanted) < 1e-9;
  const away = Math.abs(x - wanted) / Math.abs(wanted);
  return away <= 1e-4 || (away <= 5e-3 && Number(wanted.toPrecision(Math.max(1, Math.min(digits, 15)))) === Number(x.toPrecision(15)));
}

// The commonest wrong ways, each as a number and what to say where the answer is that number.
function wrongWays({ kind, value, edge }) {
  const { row } = state, name = (v) => isolated(nameOf(v)), ways = [];
  const add = (x, ...told) => ways.push([x, told]);
  const right = numberOf({ kind, value, edge });
  const ofEdge = (e, of = (x) => x) => {
    const [source, target] = edges[e], upstream = gradientAt(target, row)[0], local = localAt(e, row)?.[0], own = contributionAt(e, row)[0];
    if (of !== Number) add(of(-own), "The sign of what comes by way of ", name(target), " is the other way round.");
    if (local !== undefined && local !== null) {
      for (const other of edgesInto[target]) {
        if (other !== e && carries(other) && localAt(other, row)) add(of(upstream * localAt(other, row)[0]), "A factor is swapped: that multiplies by the derivative of ", name(target), " by ", name(edges[other][0]), ".");
      }
      add(of(upstream * valueAt(source, row)[0]), "A factor is swapped: that multiplies by ", name(source), " itself.");
      if (target !== objective.value) add(of(local), "That is the local derivative alone; it is to be multiplied by what comes back to ", name(target), ".");
    }
    add(of(upstream), "That is what comes back to ", name(target), "; it is to be multiplied by the local derivative.");
  };
  if (kind === "values") {
    const given = values[value].inputs.map((input) => valueAt(input, row)[0]), [a, b] = given;
    if (given.length === 2) {
      for (const [x, word] of [[a + b, "the sum"], [a - b, "the first less the second"], [b - a, "the second less the first"], [a * b, "the product"], [a / b, "the first by the second"], [b / a, "the second by the first"]]) add(x, `That is ${word} of the inputs.`);
    }
    given.forEach((x, k) => add(right - x, "The input ", name(values[value].inputs[k]), " is left out."));
  } else if (kind === "derivatives") {
    const uses = edgesFrom[value].filter(carries), total = right;
    for (const e of uses.length > 1 ? uses : []) add(total - contributionAt(e, row)[0], "A use is forgotten: that by ", name(edges[e][1]), ".");
    for (const e of uses.length > 2 ? uses : []) add(contributionAt(e, row)[0], "Only the use by ", name(edges[e][1]), " is in it.");
    for (const e of uses) ofEdge(e, (x) => total - contributionAt(e, row)[0] + x);
  } else ofEdge(edge, Number);
  add(-right, "The sign is the other way round.");
  for (const [other, word] of [[row - 1, "before"], [row + 1, "after"]]) {
    if (other >= 0 && other <= lastRow()) add(numberOf({ kind, value, edge }, other), `A stale value: that is the number of step ${whole(stepAt(other))}, the one ${word}.`);
  }
  return ways.filter(([x]) => Number.isFinite(x) && Math.abs(x - right) > 1e-6 * Math.max(Math.abs(x), Math.abs(right)));
}

function judge(question, text) {
  // A comma may part thousands, too.
  const answers = [text, text.replace(/,(?=\d{3}(?!\d))/g, "")].map(readAnswer).filter(Boolean);
  if (!answers.length) return { isRight: false, told: text.trim() ? ["Write a number, as 0.25, -3 or 2/3."] : [] };
  question.tries += 1;
  if (answers.some((answer) => agrees(answer, numberOf(question)))) return { isRight: true, told: ["Right."] };
  const found = wrongWays(question).find(([x]) => answers.some((answer) => agrees(answer, x)));
  return { isRight: false, told: found ? found[1] : ["Not yet."] };
}

// The sheet --------------------------------------------------------------------------------------------------------

// What the drawing shows in place of a number that is asked for.
function blankAt(kind, id) {
  const found = state.sheet?.questions.find((question) => question.kind === kind && question.id === id);
  return found && !found.isDone && state.sheet.prints !== "filled" ? "?" : null;
}
// An edge must not tell what its ends are asked for.
const isEdgeBlank = (edge) => Boolean(state.sheet) && (blankAt("contributions", edge) || blankAt("derivatives", edges[edge][1])
  || (edgesFrom[edges[edge][0]].filter(carries).length === 1 && blankAt("derivatives", edges[edge][0])));

const factsKey = () => `${state.row} ${order.filter((value) => !isNode(value)).map((value) => valueAt(value, state.row)).join()}`;

function openSheet(setup) {
  stop();
  state.sheet = { setup, questions: chosenQuestions(setup), key: factsKey(), prints: null };
  goTo(state.row, lastBackward);
  document.body.classList.add("sheeted");
  byId("worksheet").hidden = false;
  byId("sheet-count").value = setup.count;
  byId("sheet-seed").value = setup.seed;
  byId("sheet-of").value = setup.of.join(", ");
  byId("sheet-kinds").querySelectorAll("input").forEach((box) => { box.checked = setup.kinds.includes(box.value); });
  buildSheet();
  showSoon();
}

function closeSheet() {
  state.sheet = null;
  document.body.classList.remove("sheeted");
  byId("worksheet").hidden = true;
  toldMoment = "";
  showSoon();
}

function asked({ kind, value, edge }) {
  if (kind === "values") return math(isolated(nameOf(value)), " = ", inNames(values[value].formula, value));
  if (kind === "derivatives") return math(derivative(objective.value, value));
  return math(derivative(objective.value, value), " gets from ", isolated(nameOf(edges[edge][1])));
}

function buildSheet() {
  const rows = [];
  state.sheet.questions.forEach((question, k) => {
    const input = make("input", { type: "text", inputmode: "text", autocomplete: "off", spellcheck: "false" });
    const told = make("span", { "aria-live": "polite" }), line = asked(question);
    input.setAttribute("aria-label", `${k + 1}: ${line.textContent}`);
    Object.assign(question, { input, told });
    const check = () => checkAnswer(question);
    input.addEventListener("keydown", (event) => {
      if (event.key !== "Enter") return;
      event.preventDefault();
      check();
      if (question.isDone) state.sheet.questions.find((other) => !other.isDone)?.input.focus();
    });
    input.addEventListener("change", check);
    rows.push(make("div", { class: "question" }, make("span", {}, `${k + 1}. `, line, " ="), input, told));
  });
  const none = make("p", { class: "faint" }, "There is no single number here to ask for: choose other kinds or names, or open what is folded.");
  byId("sheet-body").replaceChildren(...(rows.length ? rows : [none]));
  showScore();
}

function checkAnswer(question) {
  const { input, told } = question;
  if (question.isDone || input.value === question.last) return;
  question.last = input.value;
  const { isRight, told: words } = judge(question, input.value);
  told.replaceChildren(...words);
  told.className = isRight ? "good" : "";
  input.setAttribute("aria-invalid", String(!isRight));
  if (isRight) finish(question);
  showScore();
  showSoon();
}

function finish(question) {
  question.isDone = true;
  question.input.readOnly = true;
}

function showScore() {
  const { questions: all } = state.sheet, right = all.filter((one) => one.isDone && !one.wasShown), first = right.filter((one) => one.tries === 1);
  put(byId("sheet-score"), `${right.length} of ${all.length} right${right.length ? `, ${first.length} at the first try` : ""}; step ${whole(stepAt(state.row))}`);
}

// Other numbers are other questions.
function showSheet() {
  if (state.sheet && state.sheet.key !== factsKey()) openSheet(state.sheet.setup);
}

function printSheet(how) {
  const { questions: all } = state.sheet, before = all.map(({ input }) => input.value);
  state.sheet.prints = how;
  all.forEach((question) => { question.input.value = how === "filled" ? format(numberOf(question)) : ""; });
  const isDone = all.map((question) => question.isDone);
  if (how === "blank") all.forEach((question) => { question.isDone = false; });
  show();
  print();
  state.sheet.prints = null;
  all.forEach((question, k) => { question.input.value = before[k]; question.isDone = isDone[k]; });
  show();
}

function sheetIn(add) {
  if (!state.sheet) return;
  const { seed, kinds, count, of } = state.sheet.setup;
  add("sheet", seed);
  add("ask", kinds.join(","));
  add("count", count);
  of.forEach((name) => add("of", name));
}

function applySheet(given, integer) {
  const kinds = (given.get("ask") ?? SHEET.kinds.join(",")).split(",").filter((kind) => kind in KINDS);
  openSheet({ seed: integer("sheet", 0, 999999), kinds, count: given.has("count") ? integer("count", 1, 60) : SHEET.count, of: given.getAll("of").filter((name) => valueNamed(name) >= 0) });
}

function watchSheet() {
  byId("sheet-kinds").append(...Object.entries(KINDS).slice(0, isTraining ? 3 : 1).map(([value, text]) => make("label", {}, make("input", { type: "checkbox", value }), ` ${text} `)));
  const setup = () => ({
    kinds: [...byId("sheet-kinds").querySelectorAll("input:checked")].map((box) => box.value),
    count: Math.max(1, Math.min(60, Math.round(Number(byId("sheet-count").value)) || SHEET.count)),
    of: byId("sheet-of").value.split(",").map((name) => name.trim()).filter((name) => valueNamed(name) >= 0),
    seed: Math.max(0, Math.min(999999, Math.round(Number(byId("sheet-seed").value)) || 0)),
  });
  byId("sheet-controls").addEventListener("change", () => openSheet(setup()));
  const press = (id, act) => byId(id).addEventListener("click", act);
  press("sheet-button", () => { openTaking(false); openSheet(SHEET); byId("sheet-body").querySelector("input")?.focus(); });
  press("sheet-next", () => openSheet({ ...setup(), seed: (setup().seed + 1) % 1000000 }));
  press("sheet-check", () => state.sheet.questions.forEach(checkAnswer));
  press("sheet-show", () => {
    for (const question of state.sheet.questions.filter((one) => !one.isDone)) {
      Object.assign(question, { wasShown: true });
      question.input.value = format(numberOf(question));
      question.told.replaceChildren("Shown.");
      finish(question);
    }
    showScore();
    showSoon();
  });
  press("sheet-blank", () => printSheet("blank"));
  press("sheet-filled", () => printSheet("filled"));
  press("sheet-end", () => { closeSheet(); byId("taking-button").focus(); });
}
