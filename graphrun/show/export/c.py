"""`graphrun export FILE --to c`: one file of C99 that computes values, gradients and steps, and needs only libm."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from graphrun.base.version import __version__
from graphrun.base.wording import printable
from graphrun.declare.notation import ATOM, CHOICE, Bound, Form, Notation, signed
from graphrun.declare.trace import BOOL, Expression
from graphrun.engines.array_trace import PlanTrace
from graphrun.engines.traced import check_numbers
from graphrun.show.export.loops import C_FORMS, LoopSyntax, LoopWriter, indented

if TYPE_CHECKING:
    from graphrun.run.api import Graph

PART = 300
"""So many lines make a function: compilers take more than their time for one of a hundred thousand."""

DEFINED, USED = re.compile(r"w\[(\d+)\] = "), re.compile(r"\bw\[(\d+)\]")
ARGUMENTS = "const real *p, real *gradient, real *values"

HELPERS = {
    "square": "static real square(real x) { return x * x; }",
    "larger": "static real larger(real x, real y) { return x > y || x != x ? x : y; }",
    "smaller": "static real smaller(real x, real y) { return x < y || x != x ? x : y; }",
    "sign": "static real sign(real x) { return x > 0 ? 1 : x < 0 ? -1 : x; }",
    "modulo": (
        "static real modulo(real x, real y) { real r = fmod(x, y); "
        "return r != 0 ? ((r < 0) != (y < 0) ? r + y : r) : copysign(0, y); }"
    ),
    "quotient": (
        "static real quotient(real x, real y) { if (y == 0) return x / y; "
        "real q = (x - modulo(x, y)) / y, f = floor(q); return q - f > 0.5 ? f + 1 : f; }"
    ),
    "logaddexp": (
        "static real logaddexp(real x, real y) { return x == y ? x + (real)M_LN2 : "
        "larger(x, y) + log1p(exp(-fabs(x - y))); }"
    ),
    "place": "static long place(long index, long size) { return index < 0 ? index + size : index; }",
}
NEEDS = {"quotient": ["modulo"], "logaddexp": ["larger"]}

FUNCTIONS = {"round": "rint", "abs": "fabs", "maximum": "larger", "minimum": "smaller", "remainder": "modulo"}
FUNCTIONS |= {"floor_divide": "quotient"}


def notation(*, single: bool) -> Notation:
    """Return how C writes numbers and functions of them; single precision has literals of its own."""
    used: set[str] = set()

    def number(value: float, _kind: str) -> Bound:
        if not math.isfinite(value):
            return signed("NAN" if math.isnan(value) else "INFINITY" if value > 0 else "-INFINITY")
        return signed(f"{float(np.float32(value))!r}f" if single else repr(float(value)))

    def power(_base: Expression, exponent: Expression) -> Form | None:
        # NumPy multiplies where the exponent is 2.
        if not exponent.is_constant or exponent.value != 2:
            return None
        used.add("square")
        return Form("square({0})", ATOM, (CHOICE, CHOICE))

    forms = {**C_FORMS, "pow": power, "cast": _cast, "number": _cast}
    return Notation(forms=forms, functions=FUNCTIONS, number=number, truths=("0", "1"), used=used)


def _cast(x: Expression) -> Form:
    return Form("(real)({0})", ATOM, (CHOICE,)) if x.kind == BOOL else Form("{0}", CHOICE, (CHOICE,))


def export(graph: Graph, *, steps: int | None = None) -> str:
    """Return a graph as a program, which makes so many steps, default the file's.

    Raises:
        NotSupportedError: something of it cannot be written in C; the text says what and why.
    """
    check_numbers(graph.plan())
    return "\n".join(_Program(graph, graph.steps if steps is None else steps).text()) + "\n"


class _Program:
    """Writes the program: `value_and_gradient`, `step` and `main`."""

    def __init__(self, graph: Graph, steps: int) -> None:
        self.graph, self.steps = graph, steps
        plan = self.plan = graph.plan()
        self.notation = notation(single=plan.dtype == np.float32)
        self.syntax = LoopSyntax(
            language="C",
            notation=self.notation,
            number="const real {name} = {text};",
            changing="real {name} = {text};",
            loop="for (long {index} = 0; {index} < {count}; {index}++)",
            position="(long){0}",
        )
        self.trace = PlanTrace(plan)
        self.trace.forward(plan.batches)
        self.globals: list[str] = []

    def text(self) -> Iterator[str]:
        plan = self.plan
        passes, update = self.passes(), self.update()
        file = printable(self.graph.name.replace("\\", "/").rpartition("/")[2]).replace("*/", "* /")
        nodes = [slot for slot in range(len(plan.leaves), len(plan.names)) if plan.names[slot] is not None]
        yield f"/* {file} in C99, written by graphrun {__version__}: cc -O3 -ffp-contract=off FILE.c -lm"
        yield "   With -DGRAPHRUN_NO_MAIN, value_and_gradient and step are for a program of your own. */"
        yield "#define _XOPEN_SOURCE 700"
        if plan.dtype == np.float32:
            yield from ("#include <tgmath.h>", "typedef float real;")
        else:
            yield from ("#include <math.h>", "typedef double real;")
        yield from ("#include <stdio.h>", "#include <stdlib.h>", "")
        yield f"enum {{ PARAMETERS = {plan.parameters}, STATES = {len(self.kept)}, NODES = {len(nodes)} }};"
        yield f"const char *const parameter_names[] = {{{_strings(plan.names[: plan.parameters])}}};"
        yield f"const char *const node_names[] = {{{_strings([plan.names[slot] for slot in nodes])}}};"
        yield f"const real start[] = {{{', '.join(self.leaf(slot) for slot in range(plan.parameters))}}};"
        yield f"const long objective = {nodes.index(plan.objective or 0) if plan.objective in nodes else -1};"
        yield from (*self.helpers(), *self.globals, "")
        yield from passes
        yield from update
        yield from ("", "#ifndef GRAPHRUN_NO_MAIN", *MAIN.format(steps=self.steps).splitlines(), "#endif")

    def leaf(self, slot: int) -> str:
        return self.notation.constant(float(self.plan.leaves[slot]), "float")[0]

    def helpers(self) -> Iterator[str]:
        used = set(self.notation.used)
        used |= {need for name in used for need in NEEDS.get(name, ())}
        return (text for name, text in HELPERS.items() if name in used)

    def write(self, pattern: str, symbols: Mapping[str, str], roots: Sequence[Any]) -> tuple[list[str], list[str]]:
        """Write expressions; return the lines and the names of the roots."""
        writer = LoopWriter(self.syntax, symbols, pattern=pattern)
        names = writer.write(roots)
        self.globals += [f"static real {name}[{size}];" for name, size in writer.buffers.items()]
        for name, known in writer.constants.items():
            numbers = ", ".join(self.notation.constant(float(x), "float")[0] for x in np.ravel(known))
            self.globals.append(f"static const real {name}[] = {{{numbers}}};")
        return writer.lines, names

    def passes(self) -> list[str]:
        """Return the functions of both passes; values and gradients go to where pointers show."""
        plan, trace = self.plan, self.trace
        gradients = trace.gradients()
        nodes = [slot for slot in range(len(plan.leaves), len(plan.names)) if plan.names[slot] is not None]
        symbols = {f"v{slot}": f"p[{slot}]" for slot in range(plan.parameters)}
        symbols |= {f"v{slot}": self.leaf(slot) for slot in trace.leaves if slot >= plan.parameters}
        symbols = {name: f"({text})" if text.startswith("-") else text for name, text in symbols.items()}
        zero = trace.recorder.constant(0.0, "float")
        roots = [trace.values[slot] for slot in nodes]
        roots += [gradients.get(slot, zero) for slot in range(plan.parameters)]
        is_long = plan.node_count > PART
        if is_long:
            self.syntax.number = "{name} = {text};"
        lines, names = self.write("w[{}]" if is_long else "t{}", symbols, roots)
        self.syntax.number = "const real {name} = {text};"
        stores = [f"values[{k}] = {name};" for k, name in enumerate(names[: len(nodes)])]
        slopes = [f"gradient[{k}] = {name};" for k, name in enumerate(names[len(nodes) :])]
        value = names[nodes.index(plan.objective or 0)] if plan.objective in nodes else f"p[{plan.objective}]"
        stored = ["if (values) {", *stores, "}"]
        functions: list[str] = []
        if is_long:
            self.globals.append(f"static real w[{len(lines) + 1}];")
            stored = [f"if (values) {store}" for store in stores]
            functions, lines = self.parts([*lines, *slopes, *stored])
            slopes, stored = [], []
        body = [*lines, *slopes, *stored, "(void)p, (void)gradient, (void)values;", f"return {value};"]
        return [
            *functions,
            "/* The objective; its derivatives by the parameters, and all nodes' values where they are asked for. */",
            "static real passes(const real *p, real *gradient, real *values) {",
            *(f"    {line}" for line in indented(body)),
            "}",
            "real value_and_gradient(const real *parameters, real *gradient) {",
            "    return passes(parameters, gradient, NULL);",
            "}",
        ]

    def parts(self, lines: Sequence[str]) -> tuple[list[str], list[str]]:
        """Return lines as functions, and what calls those: by pointers, or compilers make one function of all."""
        pieces = [lines[start : start + PART] for start in range(0, len(lines), PART)]
        own = [{match[1] for line in piece if (match := DEFINED.match(line))} for piece in pieces]
        users = [set(USED.findall("\n".join(piece))) for piece in pieces]
        functions, names = [], []
        for number, (piece, defined) in enumerate(zip(pieces, own, strict=True)):
            kept = sorted(defined.intersection(*[set().union(*users[number + 1 :])]), key=int)
            names.append(f"part{number}")
            functions += [f"static void {names[-1]}({ARGUMENTS}) {{", "    (void)p, (void)gradient, (void)values;"]
            functions += [
                *(f"    {_local(line, defined)}" for line in piece),
                *(f"    w[{k}] = t{k};" for k in kept),
                "}",
            ]
        table = f"static void (*const parts[])({ARGUMENTS}) = {{{', '.join(names)}}};"
        return [*functions, table], [f"for (int k = 0; k < {len(names)}; k++) parts[k](p, gradient, values);"]

    @property
    def kept(self) -> list[tuple[int, str]]:
        """The states of the update rule, parameter by parameter."""
        return [(slot, state) for slot in range(self.plan.parameters) for state in self.plan.rule.state]

    def update(self) -> list[str]:
        plan, trace = self.plan, self.trace
        slopes = {slot: trace.recorder.array(f"g{slot}", ()) for slot in range(plan.parameters)}
        updated = trace.updates(slopes)
        symbols = {f"v{slot}": f"p[{slot}]" for slot in slopes} | {f"g{slot}": f"gradient[{slot}]" for slot in slopes}
        symbols |= {f"{state}.{slot}": f"states[{k}]" for k, (slot, state) in enumerate(self.kept)}
        symbols["step"] = "(real)steps_made"
        states = [updated[slot].states[state] for slot, state in self.kept]
        lines, names = self.write("u{}", symbols, [*(made.value for made in updated), *states])
        stores = [f"p[{k}] = {name};" for k, name in enumerate(names[: plan.parameters])]
        stores += [f"states[{k}] = {name};" for k, name in enumerate(names[plan.parameters :])]
        # Every parameter moves at once: what is only a copy of another is read before that changes.
        return [
            "/* One update of the parameters and of what the rule keeps, after so many steps were made. */",
            "void step(real *p, real *states, long steps_made) {",
            "    static real gradient[PARAMETERS ? PARAMETERS : 1];",
            "    passes(p, gradient, NULL);",
            *(f"    {line}" for line in indented([*lines, *stores])),
            "    (void)states, (void)steps_made;",
            "}",
        ]


MAIN = """\
int main(int argc, char **argv) {{
    static real p[PARAMETERS ? PARAMETERS : 1], states[STATES ? STATES : 1], values[NODES ? NODES : 1];
    static real gradient[PARAMETERS ? PARAMETERS : 1];
    const long steps = argc > 1 ? strtol(argv[1], NULL, 10) : {steps};
    for (long k = 0; k < PARAMETERS; k++) p[k] = start[k];
    for (long k = 0; k < steps; k++) step(p, states, k);
    passes(p, gradient, values);
    if (objective >= 0) printf("%s = %.17g\\n", node_names[objective], (double)values[objective]);
    for (long k = 0; k < PARAMETERS; k++) printf("%s = %.17g\\n", parameter_names[k], (double)p[k]);
    for (long k = 0; k < NODES; k++) {{
        if (k != objective) printf("%s = %.17g\\n", node_names[k], (double)values[k]);
    }}
    return 0;
}}"""


def _local(line: str, defined: set[str]) -> str:
    """Return a line with local names for what its function defines: compilers cannot tell places of one array apart."""
    text = USED.sub(lambda match: f"t{match[1]}" if match[1] in defined else match[0], line)
    return f"const real {text}" if DEFINED.match(line) else text


def _strings(names: Sequence[str | None]) -> str:
    """Return texts as C's literals, whatever is in them: what is no plain letter by its UTF-8 bytes."""
    return ", ".join(f'"{"".join(_byte(b) for b in (name or "").encode())}"' for name in names) or '""'


def _byte(byte: int) -> str:
    return chr(byte) if chr(byte).isascii() and (chr(byte).isalnum() or chr(byte) in "._") else f"\\{byte:03o}"
