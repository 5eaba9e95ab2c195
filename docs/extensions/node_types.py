"""The pages about node types, update rules, solvers, schedules and initializers, made of their declarations.

What a type computes is as `graphrun nodes TYPE` shows it; that its derivative is proven, as `graphrun check --prove`
finds it when the pages are made; how accurate it is, as docs/accuracy.md has it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

from graphrun.check.prove import Outcome, Verdict, prove_all
from graphrun.declare.declaration import Declaration
from graphrun.declare.nodetype import NodeType
from graphrun.nodes import FAMILIES
from graphrun.plugins.registry import Registry
from graphrun.show.catalog import describe, kinds

ROOT = Path(__file__).parents[2]
HERE = ROOT / "docs" / "generated"
MEASURED = re.compile(r"^\| (\w+) \| (\w+) \| (float\d+) \| ([^|]*) \|[^|]*\| ([^|]*) \|", re.MULTILINE)
LEAST = 0.005
"""Of an ulp: what is less is no error, but how the true number was computed."""

FACTS = re.compile(r"  (\w+ type, inputs:|settings:|in a graph file:)")
PROVEN = {
    Outcome.PROVEN: "Its derivative is **proven** for all inputs{}.",
    Outcome.NOTHING: "There is no derivative to prove.",
    Outcome.UNDECIDED: "Its derivative is compared with finite differences; SymPy does not decide it.",
    Outcome.WRONG: "Its derivative is **wrong**: {}.",
}


def main(_app: Sphinx | None = None) -> None:
    """Write the pages."""
    registry = Registry()
    elementwise = [name for name, (declared, _) in registry.all(NodeType).items() if declared.is_elementwise]
    verdicts = {verdict.name: verdict for verdict in prove_all(elementwise)}
    errors = worst_errors((ROOT / "docs" / "accuracy.md").read_text(encoding="utf-8"))
    names = []
    for family in FAMILIES:
        name = family.__name__.rpartition(".")[2]
        names.append(name)
        text = [f"# {name.replace('_', ' ').capitalize()}", (family.__doc__ or "").strip()]
        for declared in vars(family).values():
            if isinstance(declared, NodeType):
                text += entry(registry, declared, [*proof(declared, verdicts), *accuracy(declared, errors)])
        write(f"types/{name}.md", text)
    others = {title: found for title, found in kinds(registry).items() if title != "node type"}
    for title, found in others.items():
        page = title.replace(" ", "_") + "s"
        names.append(page)
        text = [f"# {title.capitalize()}s"]
        for declared, plugin in found.values():
            if plugin is None or plugin.source == "built-in":
                text += entry(registry, declared, [], title)
        write(f"types/{page}.md", text)
    write("types.md", index(names))


def entry(registry: Registry, declared: Declaration, facts: list[str], title: str = "node type") -> Iterator[str]:
    """Yield the parts of the page of one declaration."""
    # The last line says where it is from; the text above the inputs and settings is better broken by the page.
    *lines, _ = describe(registry, declared.name, title)
    begin = next((number for number, line in enumerate(lines) if FACTS.match(line)), len(lines))
    text = "\n".join([declared.signature, "", *lines[begin:]]).rstrip()
    yield f"## {declared.name}"
    yield declared.description
    yield f"```text\n{text}\n```"
    if facts:
        yield " ".join(facts)


def proof(declared: NodeType, verdicts: Mapping[str, Verdict]) -> Iterator[str]:
    """Say what is known of the derivatives."""
    verdict = verdicts.get(declared.name)
    if verdict is not None:
        yield PROVEN[verdict.outcome].format(verdict.text and f", {verdict.text}")
    elif declared.derivative is None:
        yield "It has no derivative."
    else:
        yield "Its derivative is compared with finite differences, with PyTorch and with JAX."


def worst_errors(text: str) -> Mapping[str, list[tuple[float, float]]]:
    """Return what was measured of each type: the errors of value and derivative, in units in the last place."""
    found = defaultdict(list)
    for name, _, _, value, derivative in MEASURED.findall(text):
        found[name].append((float(value or 0), float(derivative or 0)))
    return found


def accuracy(declared: NodeType, errors: Mapping[str, list[tuple[float, float]]]) -> Iterator[str]:
    """Say how far from the true number a type has been at most, on all engines and in both dtypes."""
    if declared.name in errors:
        value, derivative = (max(column) for column in zip(*errors[declared.name], strict=True))
        yield f"[Off by at most](../../accuracy.md) {value:.2g} ulp"
        yield f"in its value, {derivative:.2g} in its derivatives." if derivative >= LEAST else "in its value."


def index(names: list[str]) -> Iterator[str]:
    """Yield the page that leads to the others."""
    yield "# Node types, rules, solvers"
    yield (
        "Every node type, by families, with its formula, its derivative, what proves it and how far from the true "
        "number it has been at most, on every engine and in both dtypes; then all else that a graph file names. These "
        "pages are made of the declarations; `graphrun nodes TYPE` shows the same, of plugins too."
    )
    yield "```{toctree}\n:maxdepth: 1\n\n" + "\n".join(f"types/{name}" for name in names) + "\n```"


def write(name: str, parts: Any) -> None:
    """Write a page, unless it is there already."""
    file = HERE / name
    text = "\n\n".join(parts) + "\n"
    file.parent.mkdir(parents=True, exist_ok=True)
    if not file.exists() or file.read_text(encoding="utf-8") != text:
        file.write_text(text, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, Any]:
    """Have Sphinx call it before it looks for pages."""
    app.connect("builder-inited", main)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
