// A page that `graphrun watch` serves: it shows what is saved and how far a run is, and keeps its place.

const news = byId("failure").parentNode.insertBefore(make("p", { id: "news", class: "card", role: "alert", hidden: "" }), byId("failure"));
const isBlank = !values.length || !rows.count;
const controls = () => [...document.querySelectorAll("input[id]:not(#step, #moment), select[id]")];
const standing = (control) => (control.type === "checkbox" ? control.checked : control.value);

// By names and steps, for in a file that was edited the numbers of values, rows and moments are others.
function placeNow() {
  const { phase, nodes, seed } = moments[state.moment], drawing = byId("drawing");
  return {
    step: stepAt(state.row),
    moment: { phase, seed, names: nodes.map(nameOf) },
    selected: nameOf(state.selected),
    zoom: state.fitted ? null : state.zoom,
    theme: document.documentElement.getAttribute("data-theme"),
    controls: Object.fromEntries(controls().map((control) => [control.id, standing(control)])),
    help: !byId("help").hidden,
    charts: charts.length,
    isPlaying: state.timer !== null,
    focus: document.activeElement.id || document.activeElement.getAttribute("data-name"),
    kept: Object.fromEntries(Object.entries(keepers).map(([name, keeper]) => [name, keeper.save()])),
    scrolled: [window.scrollX, window.scrollY, drawing.scrollLeft, drawing.scrollTop],
  };
}

function goToPlace(place) {
  setTheme(place.theme);
  for (const control of controls()) {
    const before = place.controls[control.id];
    if (before === undefined || before === standing(control)) continue;
    control[control.type === "checkbox" ? "checked" : "value"] = before;
    for (const kind of ["input", "change"]) control.dispatchEvent(new Event(kind, { bubbles: true }));
  }
  if (place.help) byId("help-button").click();
  if (place.charts > charts.length) buildCharts(place.charts);
  for (const [name, keeper] of Object.entries(keepers)) if (name in place.kept) keeper.restore(place.kept[name]);
  const { phase, seed, names } = place.moment;
  const isSame = (moment) => moment.phase === phase && moment.seed === seed && (names.length ? moment.nodes.some((node) => names.includes(nameOf(node))) : !moment.nodes.length);
  const selected = values.findIndex((entry) => entry.name === place.selected);
  if (selected >= 0) state.selected = selected;
  if (place.zoom) zoomTo(place.zoom);
  const moment = moments.findIndex(isSame);
  goTo(indexOfStep(stepsShown(), place.step), moment < 0 ? state.moment : moment);
  show();
  [...document.querySelectorAll("[id], [data-name]")].find((one) => place.focus && [one.id, one.getAttribute("data-name")].includes(place.focus))?.focus({ preventScroll: true });
  const [x, y, left, top] = place.scrolled;
  byId("drawing").scrollTo(left, top);
  // The drawing takes its size in the first frame.
  requestAnimationFrame(() => requestAnimationFrame(() => window.scrollTo(x, y)));
  window.scrollTo(x, y);
  if (place.isPlaying) play();
}

function refill(target, content) {
  Object.keys(target).forEach((key) => delete target[key]);
  Object.assign(target, content);
}

const stepsShown = () => Array.from({ length: state.course.count }, (_, row) => stepAt(row));

// More of the run that is shown, or another run of the same graph; who looks at its last row goes on to the last one.
function renew({ rows: newRows, history: newHistory, run: newRun, lines, ...rest }, isSameRun) {
  const step = stepAt(state.row), follows = state.row > 0 && state.row === lastRow();
  refill(rows, newRows);
  refill(history, newHistory);
  refill(run, newRun);
  const isOtherFile = rest.file.lines.join("\n") !== data.file.lines.join("\n");
  Object.assign(data, rest);
  takeRun();
  state.row = follows ? lastRow() : indexOfStep(stepsShown(), step);
  byId("step").max = lastRow();
  byId("step-control").hidden = byId("pace-label").hidden = rows.count < 2;
  byId("failure").hidden = true;
  describeRun();
  byId("charts").hidden = history.count < 2 || !history.series.length;
  if (!byId("charts").hidden) charts.length ? rebuildCharts() : buildCharts(SHOWN_CHARTS);
  byId("worth").hidden = true;
  byId("worth-body").replaceChildren();
  document.querySelectorAll("#worth > p").forEach((line) => line.remove());
  buildWorth();
  if (isOtherFile) {
    values.forEach((entry, value) => { entry.lines = lines[value] ?? undefined; });
    const top = byId("file-body").scrollTop;
    buildFile();
    byId("file-body").scrollTop = top;
    marked = null;
  }
  plotted = { value: null, host: null };
  if (!isSameRun) Object.values(keepers).forEach((keeper) => keeper.renew?.());
  show();
}

function tell(text) {
  put(news, text ?? "");
  news.hidden = !text;
}

let { seen, turn } = data.watched;
let source = null;

// A browser allows few connections to one server: a page that nobody sees has none.
function listenWhileSeen() {
  source?.close();
  source = null;
  if (document.hidden) return;
  source = new EventSource(`events?seen=${seen}`);
  source.onerror = () => tell("graphrun watch does not answer: it has ended, or begins anew. What is shown stays.");
  source.onmessage = (event) => {
    const told = JSON.parse(event.data);
    seen = event.lastEventId;
    tell(told.problem);
    if (told.other || (told.fresh && (isBlank || !told.fresh.rows.count))) location.reload();
    else if (told.fresh) renew(told.fresh, told.turn === turn);
    turn = told.turn;
  };
}

window.history.scrollRestoration = "manual";
const PLACE = `graphrun ${location.pathname}`;
if (!isBlank) {
  const before = sessionStorage.getItem(PLACE);
  if (before) goToPlace(JSON.parse(before));
  addEventListener("pagehide", () => sessionStorage.setItem(PLACE, JSON.stringify(placeNow())));
}
document.addEventListener("visibilitychange", listenWhileSeen);
listenWhileSeen();
