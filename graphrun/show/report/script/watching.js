// A page that `graphrun watch` serves: it shows what is saved and how far a run is, and keeps its place.

// A scope of its own: no name of it is in the way of another file's.
{
  const news = byId("failure").parentNode.insertBefore(make("p", { id: "news", class: "card", role: "alert", hidden: "" }), byId("failure"));
  const isBlank = !values.length || !recorded.count;
  // How things are looked at, not what they are: that is the file's to say.
  const controls = ["log", "letters", "pace", "filter"].map(byId);
  const stateOf = (control) => (control.type === "checkbox" ? control.checked : control.value);

  // What was changed in the page, as a link has it, which has the place too.
  function changesNow() {
    const said = new URLSearchParams(linkText());
    for (const name of ["step", "moment", "selected", "zoom", "theme"]) said.delete(name);
    return said.toString();
  }

  // The step that the page was at, where the run that is made anew has not come so far: it goes on there as it grows.
  let wanted = null;
  const isWaiting = () => wanted !== null && wanted.reached === stepAt(state.row);
  const stepNow = () => (isWaiting() ? wanted.step : stepAt(state.row));
  function returnTo(step) {
    goToStep(step);
    const reached = stepAt(state.row);
    wanted = reached < step ? { step, reached } : null;
  }

  // By names and steps, for in a file that was edited the numbers of values, rows and moments are others.
  function placeNow() {
    const { phase, nodes, seed } = moments[state.moment], drawing = byId("drawing");
    return {
      step: stepNow(),
      moment: { phase, seed, names: nodes.map(nameOf) },
      selected: nameOf(state.selected),
      zoom: state.fitted ? null : state.zoom,
      theme: document.documentElement.getAttribute("data-theme"),
      controls: Object.fromEntries(controls.map((control) => [control.id, stateOf(control)])),
      help: !byId("help").hidden,
      charts: charts.length,
      isPlaying: state.timer !== null,
      focus: document.activeElement.id || document.activeElement.getAttribute("data-name"),
      changes: changesNow(),
      scrolled: [window.scrollX, window.scrollY, drawing.scrollLeft, drawing.scrollTop],
    };
  }

  function goToPlace(place) {
    setTheme(place.theme);
    for (const control of controls) {
      const before = place.controls[control.id];
      if (before === undefined || before === stateOf(control)) continue;
      control[control.type === "checkbox" ? "checked" : "value"] = before;
      for (const kind of ["input", "change"]) control.dispatchEvent(new Event(kind, { bubbles: true }));
    }
    if (place.help) byId("help-button").click();
    if (place.charts > charts.length) buildCharts(place.charts);
    if (place.changes) applyLink(place.changes);
    const { phase, seed, names } = place.moment;
    const isSame = (moment) => moment.phase === phase && moment.seed === seed && (names.length ? moment.nodes.some((node) => names.includes(nameOf(node))) : !moment.nodes.length);
    const selected = values.findIndex((entry) => entry.name === place.selected);
    if (selected >= 0) state.selected = selected;
    if (place.zoom) zoomTo(place.zoom);
    const moment = moments.findIndex(isSame);
    state.moment = moment < 0 ? state.moment : moment;
    returnTo(place.step);
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

  let newest = null;

  // More of the run that is shown; who looks at its last row goes on to the last one. Who has a course of his own keeps it.
  function grow(grown) {
    newest = grown;
    if (state.course !== recorded) {
      setTimeout(() => newest === grown && grow(grown), 500);
      return;
    }
    const step = stepNow(), follows = !isWaiting() && state.row > 0 && state.row === lastRow();
    for (const [name, part] of Object.entries({ rows, history, run, live: data.live })) refill(part, grown[name] ?? part);
    Object.assign(data, { columns: grown.columns, worth: grown.worth });
    Object.assign(recorded, readRun());
    byId("step").max = lastRow();
    byId("step-control").hidden = byId("pace-label").hidden = lastRow() < 1;
    describeRun();
    byId("charts").hidden = recorded.history.steps.length < 2 || !history.series.length;
    if (!byId("charts").hidden) charts.length ? rebuildCharts() : buildCharts(SHOWN_CHARTS);
    buildWorth();
    plotted = { value: null, host: null };
    if (follows) goTo(lastRow());
    else returnTo(step);
    show();
  }

  function tell(text) {
    put(news, text ?? "");
    news.hidden = !text;
  }

  let seen = data.watched;
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
      if (told.isOther || (told.grown && isBlank)) location.reload();
      else if (told.grown) grow(told.grown);
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
}
