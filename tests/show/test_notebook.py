"""What notebooks show of graphs and results, asked of IPython itself."""

from __future__ import annotations

import pickle
import re
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import matplotlib as mpl
import numpy as np
import pytest
from IPython.core.formatters import DisplayFormatter
from lesson import GRAPHS

import graphrun
from graphrun.base.numbertext import number
from graphrun.show.draw.contents import TIMES
from graphrun.show.draw.rows import width
from graphrun.show.notebook import bundle, chart, history_charts

FILES = sorted(GRAPHS.glob("*.yaml"))


def shown(item: Any) -> dict[str, str]:
    """Return what IPython would hand to a notebook."""
    formatter = DisplayFormatter()
    formatter.active_types = formatter.format_types
    data, _ = formatter.format(item)
    return data


def texts(html: str) -> list[str]:
    """Return the texts of HTML that is well-formed XML, which ours is."""
    return [text.strip() for text in ET.fromstring(html).itertext() if text.strip()]  # noqa: S314 (our own output)


@pytest.mark.campaign
@pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])
def test_examples(file: Path) -> None:
    """Every example and a short run of it: HTML without scripts, the same drawing as SVG, and a line of text."""
    graph = graphrun.load(file)
    result = graph.run(3)
    for item in (graph, result):
        data = shown(item)
        assert {"text/plain", "text/html", "image/svg+xml"} <= data.keys()
        assert "\n" not in data["text/plain"]
        ET.fromstring(data["image/svg+xml"])  # noqa: S314 (our own output)
        ET.fromstring(f"<div>{data['text/html']}</div>")  # noqa: S314 (our own output)
        assert not re.search("<script|<style|http:(?!//www.w3.org/2000/svg)|https:", data["text/html"])
        assert data["text/html"] == item._repr_html_()
    for name, value in result.parameters.items():
        assert name in texts(shown(result)["text/html"])
        if np.ndim(value) == 0:
            assert number(value) in texts(shown(result)["text/html"])


def test_a_graph_shows_its_first_step() -> None:
    """The lesson's numbers before any update."""
    found = texts(f"<div>{shown(graphrun.load(GRAPHS / 'nested.yaml'))['text/html']}</div>")
    assert {"nested.yaml, step 0", "-4", f"{TIMES} -2"} <= set(found)


def test_a_result_shows_its_last_step() -> None:
    """The values are those of the result, the history has a chart for each recorded number."""
    result = graphrun.load(GRAPHS / "nested.yaml").run(1)
    data = shown(result)
    found = set(texts(data["text/html"]))
    assert {"nested.yaml, step 1", "-3.8808", "4.98", "f from -4 at step 0 to -3.8808 at step 1"} <= found
    assert data["text/plain"].endswith("maximize f = -3.8808, 1 step on numpy, stopped: steps>")


def test_a_graph_without_finite_values(tmp_path: Path) -> None:
    """It is drawn as it stands in the file, and a failed result shows what it has."""
    file = tmp_path / "g.yaml"
    file.write_text("parameters: {x: 0}\nnodes: {f: log(x)}\nmaximize: f\n")
    graph = graphrun.load(file)
    assert "log(x)" in shown(graph)["text/html"]
    assert "not finite" in shown(graph.try_run(2))["text/html"]


def test_nothing_gets_out(tmp_path: Path) -> None:
    """A description and a file's name are shown as text."""
    file = tmp_path / "<b>&'.yaml"
    file.write_text("description: '</title><script>alert(1)</script> ]]> \"'\nparameters: {x: 1}\nnodes: {f: x * 2}\n")
    for item in (graphrun.load(file), graphrun.load(file).run(2)):
        for form, text in shown(item).items():
            if form != "text/plain":
                assert "<script" not in text
                assert "<b>&" not in text


def test_a_result_can_be_pickled() -> None:
    """Without what draws it, which holds the plan and plugins' functions."""
    result = graphrun.load(GRAPHS / "nested.yaml").run(2)
    copy = pickle.loads(pickle.dumps(result))  # noqa: S301 (our own)
    assert copy.parameters == result.parameters
    data = shown(copy)
    assert "image/svg+xml" not in data
    assert "-3.76475" in data["text/html"]


def test_charts() -> None:
    """A line through every finite value, broken where one is not; one row has no chart."""
    text = chart("f", [0, 1, 2, 3], [1.0, float("nan"), 3.0, 2.0])
    lines = re.findall(r'points="([^"]+)"', text)
    assert [len(line.split()) for line in lines] == [1, 2]
    heights = [float(point.split(",")[1]) for line in lines for point in line.split()]
    assert heights[1] < heights[2] < heights[0]
    assert list(history_charts({"step": np.array([0]), "f": np.array([1.0])})) == []
    wide = chart("f", [0, 1], [-1.2345678e-105, -0.00012345678])  # the ends stand on the left of the axis, whole
    for x, label in re.findall(r'<text x="(\d+)" y="[^"]*" text-anchor="end"[^>]*>(-[^<]*)<', wide):
        assert width(label, 10) <= float(x)
    assert "polyline" not in chart("f", [0, 1], [float("nan"), float("inf")])


@pytest.mark.slow
def test_plot() -> None:
    """The axes have the objective by the step, or the names that are asked for."""
    mpl.use("agg")
    from matplotlib import pyplot

    result = graphrun.load(GRAPHS / "nested.yaml").run(10)
    axes = result.plot()
    [line] = axes.get_lines()
    np.testing.assert_array_equal(line.get_xdata(), result.history["step"])
    np.testing.assert_array_equal(line.get_ydata(), result.history["f"])
    assert [line.get_label() for line in result.plot("a", "b").get_lines()] == ["a", "b"]
    with pytest.raises(graphrun.UsageError, match="'q' is no number that was recorded; there are: f, a, b, c"):
        result.plot("q")
    pyplot.close("all")


@pytest.mark.slow
def test_to_pandas() -> None:
    """A row for each step, a column for each element of an array."""
    result = graphrun.load(GRAPHS / "softmax.yaml").run(2, record=["loss", "bias"])
    frame = result.to_pandas()
    assert frame.index.name == "step"
    assert list(frame.index) == [0, 1, 2]
    assert list(frame.columns) == ["loss", "bias[0]", "bias[1]", "bias[2]"]
    np.testing.assert_array_equal(frame["bias[1]"], result.history["bias"][:, 1])


@pytest.mark.parametrize(("method", "library"), [("plot", "matplotlib"), ("to_pandas", "pandas")])
def test_without_the_extra(monkeypatch: pytest.MonkeyPatch, method: str, library: str) -> None:
    """A missing library is an error that says what to install; what notebooks show needs none."""
    result = graphrun.load(GRAPHS / "nested.yaml").run(1)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(graphrun.UsageError, match=r"pip install 'graphrun\[notebook\]'"):
        getattr(result, method)()
    assert "-3.8808" in shown(result)["text/html"]


def test_a_drawing_is_no_wider_than_the_notebook(load) -> None:
    """A drawing that is wider than its place is shown smaller, in proportion."""
    pictured = bundle(load("parameters: {a: 1}\nnodes: {f: a * a}\nminimize: f\n"))
    assert all("max-width:100%;height:auto" in pictured[kind] for kind in ("text/html", "image/svg+xml"))


def test_a_report_is_a_text_that_shows_itself_in_a_frame(tmp_path: Path) -> None:
    """It can be written, compared and pickled as a text; a notebook lets its own scripts run alone."""
    file = tmp_path / '<b>&".yaml'
    file.write_text("parameters: {x: 1}\nnodes: {f: x * 2}\nminimize: f\n")
    page = graphrun.load(file).report(steps=2)
    assert page.startswith("<!doctype html>")
    copy = pickle.loads(pickle.dumps(page))  # noqa: S301 (our own)
    assert copy == page
    data = shown(copy)
    assert data["text/plain"] == f"<Report of {file}>"
    frame = ET.fromstring(data["text/html"])  # noqa: S314 (our own output)
    assert frame.attrib["sandbox"] == "allow-scripts allow-downloads"
    assert frame.attrib["srcdoc"] == page.replace("\n", " ").replace("\t", " ")
    assert frame.attrib["title"] == f"Report of {file}"
    assert page._repr_html_() == data["text/html"]


PAPER = """<!doctype html><meta charset="utf-8"><title>notebook</title>
<body style="background: {colour}; margin: 0"><div style="width: {width}">{frame}</div>"""


@pytest.mark.parametrize(
    ("colour", "theme"), [("#111", "dark"), ("rgb(255, 255, 255)", "light"), ("transparent", "dark")]
)
@pytest.mark.parametrize("width", ["380px", "100%"])
def test_a_frame_in_a_page(colour: str, theme: str, width: str, browser: Any) -> None:
    """It has the theme of what is around it, else the system's; it is as wide as its place, and loads nothing."""
    report = graphrun.load(GRAPHS / "nested.yaml").report(steps=3)
    context = browser.new_context(viewport={"width": 1000, "height": 700}, color_scheme="dark", reduced_motion="reduce")
    # The theme is told when the frame is loaded, which is before the page's script is unpacked on a busy machine.
    context.add_init_script(
        "Response.prototype.text = new Proxy(Response.prototype.text, { apply: (text, self) =>"
        " new Promise((done) => setTimeout(done, 200)).then(() => Reflect.apply(text, self, [])) })"
    )
    page = context.new_page()
    troubles: list[str] = []
    page.on("console", lambda message: troubles.append(message.text))
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("request", lambda request: troubles.append(request.url))
    page.set_content(PAPER.format(colour=colour, width=width, frame=report._repr_html_()))
    frame = page.frames[1]
    frame.wait_for_function("(theme) => document.documentElement.dataset.theme === theme", arg=theme)
    assert frame.evaluate("[innerWidth, innerHeight]") == [380 if width == "380px" else 1000, 630]
    assert frame.evaluate("document.documentElement.scrollWidth <= innerWidth")
    frame.locator("#step-on").click()
    frame.wait_for_function("() => document.getElementById('step-text').textContent === '1 of 3'")
    assert frame.evaluate("(() => { try { return parent.document.title } catch { return 'refused' } })()") == "refused"
    page.set_viewport_size({"width": 600, "height": 900})
    assert frame.evaluate("[innerWidth, innerHeight]") == [380 if width == "380px" else 600, 736]
    context.close()
    assert troubles == []
