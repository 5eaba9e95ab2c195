// Moving through steps and passes, and the start of it all.

// Moving ----------------------------------------------------------------------------------------------------------

function show() {
  const { row, moment } = state;
  const step = byId("step"), place = byId("moment");
  step.max = lastRow();
  step.value = row;
  const top = objective?.value;
  const text = `${whole(stepAt(row))} of ${whole(state.course.total)}`;
  put(byId("step-text"), text);
  byId("step-control").hidden = byId("pace-label").hidden = lastRow() < 1;
  step.setAttribute("aria-valuetext", isTraining && !state.sheet ? `step ${text}, ${nameOf(top)} is ${format(valueAt(top, row)[0])}` : `step ${text}`);
  place.value = moment;
  const { phase } = moments[moment];
  place.classList.toggle("backward", phase === BACKWARD);
  for (const name of [FORWARD, BACKWARD, UPDATE]) setFlag(byId(`to-${name}`), "aria-current", phase === name);
  showSheet();
  showStory();
  place.setAttribute("aria-valuetext", byId("story-title").textContent);
  showDrawing();
  showDetails();
  showTables();
  if (data.other) showCompared();
  showLive();
  refreshPlots();
  showAround();
  for (const follow of followers) follow();
  markLines(shown());
  movePlots();
  byId("step-back").disabled = row === 0;
  byId("step-on").disabled = row === lastRow();
  byId("moment-back").disabled = row === 0 && moment === 0;
  byId("moment-on").disabled = row === lastRow() && moment === moments.length - 1;
}

let pending = false;

// Many events in one frame are shown once.
function showSoon() {
  if (pending) return;
  pending = true;
  requestAnimationFrame(() => { pending = false; show(); });
}

function select(value, isFar = false) {
  if (value === state.selected && state.pointed === null && !state.line) return;
  state.selected = value;
  state.pointed = state.line = null;
  showSoon();
  if (isFar) reveal([value]);
}

function point(value) {
  if (state.pointed === value && !(state.line && value !== null)) return;
  state.pointed = value;
  if (value !== null) state.line = null;
  showSoon();
}

function goTo(row, moment = state.moment) {
  state.row = Math.max(0, Math.min(lastRow(), row));
  state.moment = Math.max(0, Math.min(moments.length - 1, moment));
  showSoon();
  const { nodes, seed } = moments[state.moment];
  if (nodes.length || seed) reveal(nodes.length ? nodes : [objective.value]);
}

function goToStep(step) {
  goTo(indexOfStep(Array.from({ length: state.course.count }, (_, row) => stepAt(row)), step));
}

function moveMoment(by) {
  const place = state.moment + by;
  if (place < 0 && state.row > 0) goTo(state.row - 1, moments.length - 1);
  else if (place >= moments.length && state.row < lastRow()) goTo(state.row + 1, 0);
  else goTo(state.row, place);
}

function stop() {
  wanted = null;
  if (state.timer === null) return;
  clearInterval(state.timer);
  state.timer = null;
  state.training = false;
  showPlay();
  showSoon();
}

function play() {
  const isSteps = byId("pace").value === "steps";
  const isAtEnd = () => state.row === lastRow() && (isSteps || state.moment === moments.length - 1);
  // From the end of a run it is trained on.
  if (model && isTraining && (isAtEnd() || (lastRow() > 0 && state.row === lastRow() && state.moment >= lastBackward))) return trying(train);
  if (isAtEnd()) goTo(0, isSteps ? state.moment : 0);
  else if (!isSteps && state.moment >= lastBackward && state.row === 0 && state.moment === lastBackward) goTo(0, 0);
  const wait = isSteps ? Math.max(40, Math.min(500, 12000 / state.course.count)) : Math.max(250, Math.min(1400, 30000 / moments.length));
  state.timer = setInterval(() => {
    if (isAtEnd()) stop();
    else if (isSteps) goTo(state.row + 1);
    else moveMoment(1);
  }, wait);
  showPlay();
}

const togglePlay = () => (state.timer === null ? play() : stop());

function showPlay() {
  const isPlaying = state.timer !== null;
  put(byId("play"), isPlaying ? "❚❚" : "▶");
  byId("play").setAttribute("aria-label", isPlaying ? "Pause" : "Play");
}

const firstOf = { [FORWARD]: 0, [BACKWARD]: Math.max(seedMoment, 0), [UPDATE]: moments.length - 1 };

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  const { target, key } = event;
  if (target.matches("select, textarea, input:not([type=range]):not([type=checkbox])")) return;
  const isRange = target.matches("input[type=range]");
  const isPressed = target.matches("button, a, summary, input[type=checkbox]");
  const isLetter = /^[a-zA-Z]$/.test(key);
  if (isLetter && !byId("letters").checked) return;
  const act = {
    ArrowRight: isRange ? null : () => goTo(state.row + 1),
    ArrowLeft: isRange ? null : () => goTo(state.row - 1),
    Home: isRange ? null : () => goTo(0),
    End: isRange ? null : () => goTo(lastRow()),
    " ": isPressed ? null : togglePlay,
    n: () => moveMoment(1),
    p: () => moveMoment(-1),
    f: () => goTo(state.row, firstOf[FORWARD]),
    b: () => goTo(state.row, firstOf[BACKWARD]),
    u: () => goTo(state.row, firstOf[UPDATE]),
    ...(model ? liveKeys : {}),
  }[isLetter ? key.toLowerCase() : key];
  if (!act) return;
  event.preventDefault();
  if (key !== " " && key.toLowerCase() !== "t") stop();
  act();
}

// Up and down move the focus within a list of which one item is in the page's order of tabs.
function roving(host, items, onMove) {
  host.addEventListener("keydown", (event) => {
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!by) return;
    const all = items();
    const at = all.indexOf(document.activeElement);
    if (at < 0) return;
    event.preventDefault();
    const next = all[Math.max(0, Math.min(all.length - 1, at + by))];
    all.forEach((item) => item.setAttribute("tabindex", item === next ? 0 : -1));
    next.focus();
    onMove?.(next);
  });
}

function boxesInOrder() {
  const places = new Map(order.map((value, k) => [value, k]));
  return [...drawn.boxes].sort((a, b) => places.get(a.face) - places.get(b.face)).map((box) => box.group);
}

// The page --------------------------------------------------------------------------------------------------------

function describeRun() {
  document.title = `${data.title} — graphrun report`;
  put(byId("title"), data.title);
  byId("title").classList.add("text");
  byId("description").replaceChildren(...data.description.map((line) => make("span", { class: "text" }, `${line} `)));
  const parts = [];
  if (isTraining) {
    parts.push([objective.maximize ? "maximize " : "minimize ", isolated(nameOf(objective.value))]);
    parts.push([[run.update.rule, ...run.update.settings].join(", ")]);
  }
  parts.push([run.steps === 1 ? "1 step" : `${whole(run.steps)} steps`]);
  if (isTraining) parts.push([run.asked ? `running, ${whole(run.asked)} steps in all` : `stopped: ${run.stopped}`]);
  parts.push([`${run.engine}, ${run.dtype}`]);
  if (lastRow() > 0 && run.every > 1) parts.push([`one step in ${run.every} is shown`]);
  if (data.live?.why) parts.push([`this page only replays: ${data.live.why}`]);
  run.overrides.forEach((text) => parts.push(["with ", isolated(text)]));
  byId("summary").replaceChildren(...parts.flatMap((part, k) => (k ? [" · ", ...part] : part)));
  if (run.error) {
    byId("failure").hidden = false;
    byId("failure").replaceChildren(make("strong", {}, "The run failed. "), isolated(run.error));
  }
  const notes = values.some((entry) => entry.shape && sizeOf(entry.shape) > 2) ? ["‖ ‖ is the norm of an array"] : [];
  if (scene.note) notes.push(scene.note);
  put(byId("legend"), notes.join("; "));
}

function start() {
  watchTheme(drawAround);
  describeRun();
  buildFile();
  if (!values.length || !state.course.count) {
    ["stage", "details", "values", "player"].forEach((id) => { byId(id).hidden = true; });
    return;
  }
  byId("moment").max = moments.length - 1;
  byId("folding-keys").hidden = !scene.levels;
  byId("to-backward").hidden = byId("to-update").hidden = !isTraining;
  if (moments.length > 60) byId("pace").value = "steps";
  byId("step").addEventListener("input", (event) => { stop(); goTo(Number(event.target.value)); });
  byId("moment").addEventListener("input", (event) => { stop(); goTo(state.row, Number(event.target.value)); });
  const press = (id, act) => byId(id).addEventListener("click", () => { stop(); act(); });
  press("step-back", () => goTo(state.row - 1));
  press("step-on", () => goTo(state.row + 1));
  press("moment-back", () => moveMoment(-1));
  press("moment-on", () => moveMoment(1));
  press("to-forward", () => goTo(state.row, firstOf[FORWARD]));
  press("to-backward", () => goTo(state.row, firstOf[BACKWARD]));
  press("to-update", () => goTo(state.row, firstOf[UPDATE]));
  byId("play").addEventListener("click", togglePlay);
  byId("pace").addEventListener("change", stop);
  byId("smaller").addEventListener("click", () => zoomBy(0.8));
  byId("larger").addEventListener("click", () => zoomBy(1.25));
  byId("fit").addEventListener("click", () => fit(true));
  byId("log").addEventListener("change", rebuildCharts);
  byId("more-charts").addEventListener("click", () => buildCharts(charts.length + 12));
  byId("filter-label").hidden = values.length <= 20;
  byId("filter").addEventListener("input", (event) => { buildValues(event.target.value); showTables(); });
  document.addEventListener("keydown", onKey);
  buildDrawing();
  if (data.other) buildCompared();
  buildParameters();
  buildWorth();
  buildValues();
  showCharts();
  watchLive();
  for (const begin of starters) begin();
  roving(byId("drawing"), boxesInOrder);
  watchDrawing();
  watchTaking();
  roving(byId("file-body"), () => [...byId("file-body").querySelectorAll("button")]);
  showPlay();
  show();
  new ResizeObserver(() => {
    buildDrawing();
    if (state.fitted) fit();
    fitCharts();
    showDrawing();
  }).observe(byId("stage"));
}

start();
