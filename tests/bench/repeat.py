"""Loading time per node: 100,000 nodes made by `repeat`, and the same nodes written out.

    python tests/bench/repeat.py [NODES] [ROUNDS]

Each figure is the least of several rounds: the document alone (text → plain nodes), and the whole (→ schedule).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from graphrun.api import Graph
from graphrun.document import Source, load_document
from graphrun.document.dump import dump_document
from graphrun.graph.build import build_graph
from graphrun.plugins.registry import Registry

REPEATED = """\
parameters: {{x: 0.5, c: 1.5}}
subgraphs:
  cell:
    inputs: [x, c]
    nodes:
      h: {{type: multiply, inputs: [x, c]}}
      y: {{type: tanh, inputs: [h]}}
    output: y
nodes:
  f: {{type: cell, inputs: [x, c], repeat: {copies}}}
maximize: f
"""

WITH_PARAMETERS = REPEATED.replace(
    "    nodes:\n      h: ", "    parameters: {{w: 0.5}}\n    nodes:\n      h: "
).replace("inputs: [x, c]}}\n      y", "inputs: [x, w]}}\n      y")


def best(action: Callable[[], object], rounds: int) -> float:
    """Return the least time of several rounds, in seconds."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return min(times)


def whole(text: str) -> None:
    """Load a graph and schedule it."""
    Graph(build_graph(load_document(Source("g.yaml", text)), Registry())).plan()


def main(nodes: int = 100_000, rounds: int = 3) -> None:
    """Print the figures."""
    for title, template in (("without parameters", REPEATED), ("a parameter in each copy", WITH_PARAMETERS)):
        repeated = template.format(copies=nodes // 2)
        written = dump_document(load_document(Source("g.yaml", repeated)))
        count = len(load_document(Source("g.yaml", written)).nodes)
        print(f"{count:,} nodes, {title}; microseconds per node:")
        for label, text in (("repeat", repeated), ("written out", written)):
            document = best(lambda text=text: load_document(Source("g.yaml", text)), rounds)
            complete = best(lambda text=text: whole(text), rounds)
            print(f"  {label:12} document {document / count * 1e6:6.2f}   whole {complete / count * 1e6:6.2f}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
