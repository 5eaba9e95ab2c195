"""Whatever a graph file, its name and its data call things, the page shows it as text, and runs and loads nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Open = Callable[..., Any]

HOSTILE = (
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(2)>",
    "]]><svg onload=alert(3)>",
    "<!--<script>",
    "\"'`><b>&lt;&amp;",
    "javascript:alert(4)",
    "{{ policy }} ${alert(5)}",
    "\u202egnp.exe\u2066 \u200b\u2028",
)

GRAPH = """\
# {comment}
description: |
{description}
parameters:
  θ: 1
  א: 2
nodes:
  f: (θ - א) ** 2
minimize: f
steps: 2
"""


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """Return a graph file full of markup, in its name too."""
    file = tmp_path / "<img src=x onerror=alert(6)>'\".yaml"
    text = GRAPH.format(
        comment="</script><script>alert(7)</script> ]]> \u202e",
        description="\n".join(f"  {line}" for line in HOSTILE if "\u202e" not in line),
    )
    file.write_text(text, encoding="utf-8")
    return file


def test_nothing_is_injected(hostile: Path, report: Callable[..., Path], open_page: Open) -> None:
    """There is no element that the page itself does not make, and the text is all there."""
    page = open_page(report(hostile))
    for key in ("f", "n", "n", "b", "n", "u", "End"):
        page.keyboard.press(key)
    for box in page.locator("#drawing .box").all():
        box.hover()
    assert page.locator("img, iframe, object, embed, b, svg [onload], [onerror]").count() == 0
    assert page.locator("script").count() == 4
    description = page.locator("#description").text_content()
    for line in HOSTILE:
        if "\u202e" not in line:
            assert line in description
    assert page.locator("#title").text_content() == hostile.name
    assert page.title().startswith("<img src=x onerror=alert(6)>")
    assert "</script><script>alert(7)</script> ]]>" in page.locator("#file-body").text_content()
    assert "\u202e" not in page.locator("body").inner_text()
    assert "\\u202e" in page.locator("#file-body").text_content()
    assert page.locator('#values tr[data-name="א"]').count() == 1


def test_columns_of_the_data_may_have_any_name(tmp_path: Path, report: Callable[..., Path], open_page: Open) -> None:
    """Headers of a data file are text too."""
    (tmp_path / "d.csv").write_text('"<img src=x onerror=alert(8)>",y\n1,2\n3,4\n', encoding="utf-8")
    file = tmp_path / "g.yaml"
    file.write_text(
        "data:\n  file: d.csv\n  columns: {x: '<img src=x onerror=alert(8)>', y: y}\n"
        "parameters: {a: 1}\nnodes: {f: 'mean((a * x - y) ** 2)'}\nminimize: f\n",
        encoding="utf-8",
    )
    page = open_page(report(file))
    assert page.locator("img").count() == 0
    assert "<img src=x onerror=alert(8)>" in page.locator("#file-body").text_content()


def test_the_policy_allows_nothing_else(hostile: Path, report: Callable[..., Path], browser: Any) -> None:
    """A script that is put into the page does not run, and nothing can be fetched."""
    page = browser.new_page()
    page.goto(report(hostile).as_uri())
    blocked = page.evaluate(
        """async () => {
            const script = document.createElement("script");
            script.textContent = "window.injected = true";
            document.body.append(script);
            const style = document.createElement("style");
            style.textContent = "body { color: rgb(1, 2, 3) }";
            document.body.append(style);
            let failed = false;
            try { await fetch("data:text/plain,x"); } catch { failed = true; }
            return [window.injected === undefined, getComputedStyle(document.body).color !== "rgb(1, 2, 3)", failed];
        }"""
    )
    page.close()
    assert blocked == [True, True, True]
