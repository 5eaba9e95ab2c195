"""C from `graphrun export --to c` beside the C that CasADi generates, compiled alike; prints a table of medians.

python tests/bench/exported.py [NODES] [FLAGS]

A step is both passes and the update. Graphs are the lesson and random ones of so many nodes, 10,000 by default;
compilers take minutes for 100,000 with -O3, so that FLAGS may be -O1.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from harness import Row, markdown
from native import NESTED, random_graph, text_of
from peers import STEP_SIZE, casadi_step

import graphrun
from graphrun.show.export import LANGUAGES

ROUNDS = 7
DRIVER = """
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
{declared}
int main(int argc, char **argv) {{
    static double p[{count}], next[{count}], w[{work}], none[1];
    const double first[] = {{{first}}};
    const long steps = strtol(argv[1], NULL, 10);
    (void)argc, (void)w, (void)next, (void)none;
    for (long k = 0; k < {count}; k++) p[k] = first[k];
    const clock_t begin = clock();
    for (long k = 0; k < steps; k++) {{ {call} }}
    printf("%.9g %.17g\\n", (double)(clock() - begin) / CLOCKS_PER_SEC, p[0]);
    return 0;
}}
"""
OURS = "void step(double *, double *, long);", "step(p, none, k);"
THEIRS = (
    "int step(const double **, double **, long long *, double *, int);",
    """const double *arg[] = {p}; double *res[] = {next}; step(arg, res, 0, w, 0);
    for (long j = 0; j < %d; j++) p[j] = next[j];""",
)


def program(folder: Path, name: str, text: str, flags: Sequence[str], **driver: object) -> Path:
    """Compile a step and the loop that times it; say how long that took."""
    (folder / f"{name}.c").write_text(text, encoding="utf-8")
    (folder / f"{name}_main.c").write_text(DRIVER.format(**driver), encoding="utf-8")
    files = [folder / f"{name}.c", folder / f"{name}_main.c"]
    begin = time.perf_counter()
    command = ["cc", *flags, "-ffp-contract=off", "-DGRAPHRUN_NO_MAIN", *files, "-o", folder / name, "-lm"]
    subprocess.run(command, check=True)
    print(f"{name}: {len(text) / 1e6:.2f} MB, compiled in {time.perf_counter() - begin:.1f} s", file=sys.stderr)
    return folder / name


def timed(file: Path, steps: int) -> tuple[float, float]:
    """Return the processor time of a step, and the first parameter at the end."""
    printed = subprocess.run([file, str(steps)], check=True, capture_output=True, encoding="utf-8").stdout.split()
    return float(printed[0]) / steps, float(printed[1])


def beside(case: str, text: str, step: object, folder: Path, steps: int, flags: Sequence[str]) -> Row:
    """Compare the two programs of a graph."""
    file = folder / "graph.yaml"
    file.write_text(text, encoding="utf-8")
    graph = graphrun.load(file)
    values = [float(value) for value in graph.plan().leaves[: graph.plan().parameters]]
    shared = {"count": len(values), "first": ", ".join(map(repr, values)), "work": max(step.sz_w(), 1)}
    step.generate("casadi_step.c", {"with_header": False})
    generated = Path("casadi_step.c")
    theirs_text = generated.read_text(encoding="utf-8")
    generated.unlink()
    ours = program(folder, "ours", LANGUAGES["c"].export(graph), flags, declared=OURS[0], call=OURS[1], **shared)
    theirs = program(folder, "casadi", theirs_text, flags, declared=THEIRS[0], call=THEIRS[1] % len(values), **shared)
    rounds = [(timed(ours, steps), timed(theirs, steps)) for _ in range(ROUNDS)]
    assert all(abs(a[1] - b[1]) < 1e-9 for a, b in rounds), "the two do not compute the same"
    mine, other = ([pair[k][0] for pair in rounds] for k in range(2))
    return Row.of(case, "C of graphrun", mine, "C of CasADi", other, None)


def rows(count: int, flags: Sequence[str]) -> Iterator[Row]:
    """Measure the lesson and random graphs."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lesson = [("d", "add", ["a", "b"]), ("f", "multiply", ["d", "c"])]
        step = casadi_step({"a": 5.0, "b": -3.0, "c": -2.0}, lesson, "f", -STEP_SIZE)
        yield beside("nested.yaml", NESTED, step, folder, 50_000_000, ["-O3"])
        for shape in ("wide", "layered", "chain"):
            parameters, nodes = random_graph(shape, count)
            step = casadi_step(parameters, nodes, "f", 0.001)
            case = f"{shape}, {len(nodes):,} nodes"
            yield beside(case, text_of(parameters, nodes), step, folder, max(1, 20_000_000 // len(nodes)), flags)


if __name__ == "__main__":
    given = sys.argv[1:]
    for line in markdown(rows(int(given[0]) if given else 10_000, given[1:] or ["-O3"])):
        print(line, flush=True)
