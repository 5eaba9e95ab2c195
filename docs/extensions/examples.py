"""The gallery: of every example its drawing, its course, its page and its file, made by running it.

A page that is newer than its example and than the package is kept.
"""

from __future__ import annotations

import os
import re
import textwrap
import warnings
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import starmap
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

from sphinx.application import Sphinx

import graphrun
from graphrun.show.notebook import history_charts, summary

ROOT = Path(__file__).parents[2]
GRAPHS = ROOT / "graphs"
HERE = ROOT / "docs" / "generated"
ROW = re.compile(r"^\| `(\w+)\.yaml` \| (.*) \|$", re.MULTILINE)
WITHOUT_NODES = "layers"
FEW_STEPS = {"convolution": 50, "digits": 150, "reading": 50}
"""Those that train for long are shown as they begin."""

STEPS_OF_A_PAGE = 20
RUN = "`graphrun graphs/{name}.yaml{steps}` runs it, `graphrun explain graphs/{name}.yaml` tells its first step."


def main(app: Sphinx) -> None:
    """Write the pages, several at once."""
    examples = dict(ROW.findall((GRAPHS / "README.md").read_text(encoding="utf-8")))
    examples.pop(WITHOUT_NODES)
    newest = max(file.stat().st_mtime for file in (ROOT / "graphrun").rglob("*.py"))
    jobs = [(name, told, str(app.outdir)) for name, told in examples.items() if not is_made(name, app, newest)]
    (HERE / "gallery").mkdir(parents=True, exist_ok=True)
    for kind in ("pages", "drawings"):
        Path(app.outdir, kind).mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) as pool:
        list(pool.map(make, jobs))
    with ZipFile(Path(app.outdir, "examples.zip"), "w", ZIP_DEFLATED) as archive:
        for file in sorted(file for folder in ("graphs", "plugins") for file in (ROOT / folder).rglob("*")):
            if file.is_file() and "__pycache__" not in file.parts:
                archive.write(file, file.relative_to(ROOT))
    (HERE / "gallery.md").write_text("\n\n".join(index(examples)) + "\n", encoding="utf-8")


def is_made(name: str, app: Sphinx, newest: float) -> bool:
    """Say whether an example's page is newer than what it is made of."""
    made = (HERE / "gallery" / f"{name}.md", Path(app.outdir, "pages", f"{name}.html"))
    made_of = max(newest, (GRAPHS / f"{name}.yaml").stat().st_mtime, Path(__file__).stat().st_mtime)
    return all(file.exists() and file.stat().st_mtime > made_of for file in made)


def make(job: tuple[str, str, str]) -> None:
    """Run an example, and write its drawing, its page to play with, and the page about both."""
    name, told, folder = job
    warnings.simplefilter("ignore")
    os.chdir(ROOT)
    graph = graphrun.load(f"graphs/{name}.yaml")
    graph.draw(Path(folder, "drawings", f"{name}.svg"), step=0)
    graph.report(Path(folder, "pages", f"{name}.html"), steps=min(graph.steps, STEPS_OF_A_PAGE), engine="numpy")
    result = graph.run(steps=FEW_STEPS.get(name))
    text = "\n\n".join(page(name, told, result)) + "\n"
    (HERE / "gallery" / f"{name}.md").write_text(text, encoding="utf-8")


def page(name: str, told: str, result: graphrun.Result) -> Iterator[str]:
    """Yield the parts of the page about an example."""
    yield f"# {name}"
    yield told.replace("](", "](../../../graphs/")
    yield f'<p class="play"><a href="../../../pages/{name}.html">Play with it: change numbers, step, train</a></p>'
    alt = f"the graph of {name}.yaml, with values and gradients before the first step"
    picture = f"../../../drawings/{name}.svg"
    yield f'<p class="drawing"><a href="{picture}"><img src="{picture}" alt="{alt}"></a></p>'
    charts = "".join(history_charts(result.history))
    if charts:
        yield "## Its course"
        yield f'<div class="charts">{charts}</div>'
    yield f"It ends with `{summary(result)}`."
    few = f" --steps {FEW_STEPS[name]}" if name in FEW_STEPS else ""
    yield RUN.format(name=name, steps=few)
    yield "## Its file"
    yield f"```{{literalinclude}} ../../../graphs/{name}.yaml\n:language: yaml\n```"


def index(examples: dict[str, str]) -> Iterator[str]:
    """Yield the gallery itself."""
    yield "# Gallery"
    yield (
        "Every example that comes with graphrun, in `graphs/` of a checkout, or <a href='../../examples.zip'>all of "
        "them here</a>: what it looks like, where its run leads, its file, and its page to play with in the browser."
    )
    cards = "\n".join(starmap(card, examples.items()))
    yield f'<div class="gallery">\n{cards}\n</div>'
    yield "```{toctree}\n:hidden:\n\n" + "\n".join(f"gallery/{name}" for name in examples) + "\n```"


def card(name: str, told: str) -> str:
    """Return one example in the gallery."""
    plain = re.sub(r"`([^`]*)`", r"<code>\1</code>", told)
    return textwrap.dedent(f"""\
        <a class="card" href="gallery/{name}.html">
        <span class="picture"><img src="../../drawings/{name}.svg" alt="" loading="lazy"></span>
        <strong>{name}</strong> <span>{plain}</span>
        </a>""")


def setup(app: Sphinx) -> dict[str, Any]:
    """Have Sphinx call it before it looks for pages."""
    app.connect("builder-inited", main)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
