"""How long a report takes to show an edit: `python tests/bench/redraw.py`, the median of 40, in Chromium."""

from __future__ import annotations

import random
import shutil
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

import graphrun
from graphrun.cli.entry import run_command

TYPES = ["tanh", "sin", "add", "multiply", "subtract", "maximum"]

MEASURE = """async (names) => {
  const times = [];
  for (let k = 0; k < 40; k += 1) {
    await new Promise((done) => requestAnimationFrame(done));
    // The page shows an edit in the next frame: between what is asked for before the edit, and what is after it.
    let begin = 0;
    requestAnimationFrame(() => { begin = performance.now(); });
    const edit = performance.now();
    graphrun.set(names[k % names.length], 0.5 + k / 100);
    const edited = performance.now() - edit;
    await new Promise((done) => requestAnimationFrame(() => {
      document.getElementById("drawing").getBoundingClientRect();
      times.push(edited + performance.now() - begin);
      done();
    }));
  }
  return times.sort((a, b) => a - b)[20];
}"""
"""The median time of an edit: both passes, all that is shown of them, and its layout."""

SHOWN = ["TaskDuration", "ScriptDuration", "LayoutDuration", "RecalcStyleDuration"]


def metrics(session: Any) -> dict[str, float]:
    """Return what the page's thread has taken so far, in seconds of the processor, whatever else the machine does."""
    found = session.send("Performance.getMetrics")["metrics"]
    return {metric["name"]: metric["value"] for metric in found}


def graph_of(nodes: int, steps: int) -> str:
    """Return a random graph file with so many nodes."""
    pick = random.Random(1)  # noqa: S311
    names = [f"p{k}" for k in range(nodes // 10)]
    lines = ["parameters:", *(f"  {name}: {pick.uniform(-1, 1):.3f}" for name in names), "nodes:"]
    for k in range(nodes - 1):
        kind = pick.choice(TYPES)
        inputs = [pick.choice(names[-40:]) for _ in range(1 if kind in {"tanh", "sin"} else 2)]
        lines.append(f"  n{k}: {{type: {kind}, inputs: [{', '.join(inputs)}]}}")
        names.append(f"n{k}")
    lines += [f"  f: tanh({names[-1]})", "maximize: f", f"steps: {steps}"]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Print the times."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for nodes, steps in ((100, 1), (100, 100), (1000, 1), (1000, 20)):
            file, page_file = Path(folder) / "g.yaml", Path(folder) / "g.html"
            file.write_text(graph_of(nodes, steps), encoding="utf-8")
            run_command(["report", str(file), "-q", "-o", str(page_file)])
            page = browser.new_page(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
            page.goto(page_file.as_uri())
            names = list(graphrun.load(file).run(0).parameters)
            session = page.context.new_cdp_session(page)
            session.send("Performance.enable", {"timeDomain": "threadTicks"})
            page.evaluate(MEASURE, names)
            before = metrics(session)
            wall = page.evaluate(MEASURE, names)
            spent = {name: 1000 * (value - before[name]) / 40 for name, value in metrics(session).items()}
            parts = ", ".join(f"{name.removesuffix('Duration').lower()} {spent[name]:.1f}" for name in SHOWN)
            print(f"{nodes} nodes, {steps} steps: median {wall:.1f} ms; of the processor, on average: {parts} ms")
            page.close()


if __name__ == "__main__":
    main()
