"""Traced arrays → loops over plain buffers, in the languages whose loops look like C's.

A value that is used once, over the same elements, is written where it is used, so that an expression of ten operations
is one loop; what only arranges elements anew (a transpose, a slice, a repetition) is arithmetic of indices.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

import numpy as np

from graphrun.declare.array_operations import ARRAY_OPERATIONS, Shape
from graphrun.declare.notation import ATOM, NOT, OPERATORS, Bound, Form, Forms, Notation
from graphrun.declare.trace import count_uses, inputs_first
from graphrun.engines.traced import NotSupportedError

VIEWS = {"reshape", "broadcast", "permute", "slice"}
"""Operations that arrange elements anew."""

GATHERS = {"take", "take_along"}
LOOPS = set(ARRAY_OPERATIONS) - VIEWS - GATHERS
"""Operations whose result has a place of its own."""

TOTALS = {"sum", "prod", "max", "min", "argmax", "argmin", "matmul", "einsum"}
"""Those that add up, or the like, what becomes an element."""

C_FORMS: Forms = {
    **{name: form for name, form in OPERATORS.items() if name != "pow"},
    "where": Form("({0} ? {1} : {2})", ATOM, (NOT, NOT, NOT)),
    "logical_and": Form("({0} && {1})", ATOM, (ATOM, ATOM)),
    "logical_or": Form("({0} || {1})", ATOM, (ATOM, ATOM)),
    "logical_xor": Form("(!{0} != !{1})", ATOM, (ATOM, ATOM)),
    "logical_not": Form("!{0}", ATOM, (ATOM,)),
}
"""How operators are written in C, and in what took them from there."""

LONGEST = 40
"""So many operations are written as one expression at most."""


@dataclass(kw_only=True)
class LoopSyntax:
    """How a language writes what an expression is not.

    Attributes:
        language: its name.
        notation: writes expressions of numbers.
        number: declares a number that does not change, by {name} and {text}.
        changing: declares one that does.
        loop: the head of a loop, by {index} and {count}.
        position: makes a number a position, {0}.
        helpers: operations that are calls of a function (result, number of matrices, sizes, arguments).
    """

    language: str
    notation: Notation
    number: str
    changing: str
    loop: str
    position: str = "{0}"
    helpers: frozenset[str] = frozenset()


@dataclass
class LoopWriter:
    """Writes expressions as statements.

    Attributes:
        syntax: of the language.
        names: the text of each input: a number, or the name of a buffer of its elements in row-major order.
        lines: what was written.
        buffers: the buffers that the lines need, by name, with how many elements they have.
        constants: known arrays by the names that they are read by.
        pattern: what names are, with {} for a number.
    """

    syntax: LoopSyntax
    names: Mapping[str, str]
    lines: list[str] = field(default_factory=list)
    buffers: dict[str, int] = field(default_factory=dict)
    constants: dict[str, Any] = field(default_factory=dict)
    pattern: str = "t{}"

    def __post_init__(self) -> None:
        self._stored: dict[int, str] = {}
        self._sizes: dict[int, int] = {}
        self._count = 0

    def write(self, roots: Sequence[Any]) -> list[str]:
        """Write expressions, and return the name of each: a number, or a buffer of its elements.

        Raises:
            NotSupportedError: the language has no form of an operation; the text says which.
        """
        keep = self._kept(roots)
        for expression in inputs_first(roots):
            key = id(expression)
            if expression.operation == "input":
                self._stored[key] = self.names[expression.value]
            elif isinstance(expression.value, np.ndarray) and expression.is_constant:
                name = self._stored[key] = f"known_{self._buffer_name()}"
                self.constants[name] = expression.value
            elif expression.operation in LOOPS:
                self._stored[key] = self._computed(expression)
            elif key in keep and not expression.is_constant:
                self._store(expression)
            else:
                # The operations that are written where this is used, those of its own arguments among them.
                inner = sum(self._sizes.get(id(argument), 0) for argument in expression.arguments)
                self._sizes[key] = inner + 1
                if inner + 1 > LONGEST:
                    self._store(expression)
        return [self._stored.get(id(root)) or self._text(root, ["0"] * root.ndim)[0] for root in roots]

    def _kept(self, roots: Sequence[Any]) -> set[int]:
        """Return what has a place of its own: what is used twice, or over other elements than its own."""
        uses = count_uses(roots)
        keep = {id(root) for root in roots}
        for expression in inputs_first(roots):
            operation = expression.operation
            for position, argument in enumerate(expression.arguments):
                over = argument.size if operation in LOOPS else expression.size
                moves = operation == "reshape" and _moves(expression)
                gathers = operation in GATHERS and position == 0
                if argument.operation in VIEWS and not (moves or gathers or operation in self.syntax.helpers):
                    continue
                again = operation in {"matmul", "einsum"} | VIEWS | self.syntax.helpers
                if again or gathers or uses[id(argument)] > 1 or over != argument.size:
                    keep.add(id(argument))
        return keep

    # --- storing ---

    def _name(self) -> str:
        self._count += 1
        return self.pattern.format(self._count)

    def _buffer_name(self) -> str:
        self._count += 1
        return f"{self.pattern[0]}{self._count}"

    def _buffer(self, size: int) -> str:
        name = self._buffer_name()
        self.buffers[name] = size
        return name

    def _store(self, expression: Any) -> None:
        """Write what computes an expression of each element."""
        if expression.size == 1:
            self._stored[id(expression)] = self._number(self._text(expression, ["0"] * expression.ndim)[0])
            return
        name = self._buffer(expression.size)
        if self._is_flat(expression, expression.shape, top=True):
            with self._loops((expression.size,)) as (index,):
                self.lines.append(f"{name}[{index}] = {self._text(expression, index)[0]};")
        else:
            with self._loops(expression.shape) as indices:
                text = self._text(expression, list(indices))[0]
                self.lines.append(f"{name}[{_linear(expression.shape, indices)}] = {text};")
        self._stored[id(expression)] = name

    def _number(self, text: str) -> str:
        name = self._name()
        self.lines.append(self.syntax.number.format(name=name, text=text))
        return name

    @contextmanager
    def _loops(self, sizes: Shape) -> Iterator[list[str]]:
        """Write loops around what is written within; an axis of size 1 needs none."""
        indices = []
        for size in sizes:
            if size == 1:
                indices.append("0")
                continue
            self._count += 1
            indices.append(f"i{self._count}")
            self.lines.append(self.syntax.loop.format(index=indices[-1], count=size) + " {")
        yield indices
        self.lines += ["}"] * sum(index != "0" for index in indices)

    # --- reading an element ---

    def _is_flat(self, expression: Any, shape: Shape, *, top: bool = False) -> bool:
        """Whether all that an element needs stands at the element's own place, or is a number."""
        if expression.size == 1:
            return True
        if id(expression) in self._stored and not top:
            return bool(expression.shape == shape)
        if expression.operation == "broadcast" and expression.arguments[0].size == 1:
            return True
        if expression.operation == "reshape" and expression.shape == shape:
            return self._is_flat(expression.arguments[0], expression.arguments[0].shape)
        if expression.operation in VIEWS | GATHERS:
            return False
        return expression.shape == shape and all(self._is_flat(x, shape) for x in expression.arguments)

    def _text(self, expression: Any, indices: Any) -> Bound:
        """Return the text of an element, by an index along each axis, or by its place among all."""
        name = self._stored.get(id(expression))
        flat = isinstance(indices, str)
        if name is not None:
            place = indices if flat else _linear(expression.shape, indices)
            return (name if expression.size == 1 else f"{name}[{place}]"), ATOM
        notation, operation, arguments = self.syntax.notation, expression.operation, expression.arguments
        if expression.is_constant:
            return notation.constant(expression.value, expression.kind)
        if flat and operation == "broadcast":
            return self._text(arguments[0], ["0"] * arguments[0].ndim)
        if operation == "reshape" and (flat or _moves(expression)):
            return self._text(arguments[0], indices if flat else _linear(expression.shape, indices))
        if operation in VIEWS:
            return self._text(arguments[0], self._moved(expression, indices))
        if operation in GATHERS:
            x, positions = arguments
            axis = expression.value
            own = indices[axis : axis + positions.ndim] if operation == "take" else indices
            found = self._position(positions, own, x.shape[axis])
            width = positions.ndim if operation == "take" else 1
            return self._text(x, [*indices[:axis], found, *indices[axis + width :]])
        parts = [
            self._text(x, indices if flat and x.size > 1 else _last(x.shape, [] if flat else indices))
            for x in arguments
        ]
        return notation.apply(operation, parts, arguments)

    def _position(self, positions: Any, indices: Sequence[str], size: int) -> str:
        self.syntax.notation.used.add("place")
        text = self.syntax.position.format(self._text(positions, list(indices))[0])
        return f"place({text}, {size})"

    def _moved(self, expression: Any, indices: Sequence[str]) -> list[str]:
        """Return where an element of a view stands in what it is a view of."""
        (x,) = expression.arguments
        if expression.operation == "broadcast":
            return _last(x.shape, indices)
        if expression.operation == "permute":
            return [indices[expression.value.index(axis)] for axis in range(x.ndim)]
        if expression.operation == "slice":
            pieces = zip(expression.value, indices, strict=True)
            return [_shifted(start, step, index) for (start, _, step), index in pieces]
        kept = iter(index for index, size in zip(indices, expression.shape, strict=True) if size != 1)
        return ["0" if size == 1 else next(kept) for size in x.shape]

    # --- operations with a place of their own ---

    def _computed(self, expression: Any) -> str:
        operation, arguments = expression.operation, expression.arguments
        if operation in self.syntax.helpers:
            result = self._buffer(max(expression.size, 1))
            given = ", ".join(self._stored.get(id(x)) or self._whole(x) for x in arguments)
            sizes = ", ".join(map(str, arguments[-1].shape[-2:])) if arguments[0].ndim > 1 else arguments[0].size
            count = int(np.prod(arguments[0].shape[:-2], dtype=np.int64))
            self.syntax.notation.used.add(operation)
            self.lines.append(f"{operation}({result}, {count}, {sizes}, {given});")
            return result if expression.size != 1 else self._number(f"{result}[0]")
        write = getattr(self, f"_write_{operation}", None)
        if write is None:
            raise NotSupportedError(f"{self.syntax.language} has no form of the operation {operation}")
        if expression.size == 1 and operation in TOTALS:
            total = self._name()
            write(expression, lambda _: total, total)
            return total
        name = self._buffer(expression.size)
        write(expression, lambda indices: f"{name}[{_linear(expression.shape, indices)}]", None)
        return self._number(f"{name}[0]") if expression.size == 1 else name

    def _whole(self, expression: Any) -> str:
        self._store(expression)
        return self._stored[id(expression)]

    def _total(
        self, outer: Sequence[str], target: Any, number: str | None, first: str, inner: Shape, step: Callable[..., str]
    ) -> None:
        """Write a sum, or the like, over inner axes: `step` adds what is at their indices to a number."""
        total = number or self._name()
        self.lines.append(self.syntax.changing.format(name=total, text=first))
        with self._loops(inner) as indices:
            self.lines.append(step(total, indices))
        if number is None:
            self.lines.append(f"{target(outer)} = {total};")

    def _reduced(self, expression: Any, target: Any, number: str | None, first: str, step: str) -> None:
        (x,), axes = expression.arguments, expression.value
        kept = [axis for axis in range(x.ndim) if axis not in axes]
        with self._loops(tuple(x.shape[axis] for axis in kept)) as outer:

            def added(total: str, inner: Sequence[str]) -> str:
                where = dict(zip(kept, outer, strict=True)) | dict(zip(axes, inner, strict=True))
                text, binding = self._text(x, [where[axis] for axis in range(x.ndim)])
                return step.format(total, text if binding == ATOM else f"({text})")

            self._total(outer, target, number, first, tuple(x.shape[axis] for axis in axes), added)

    def _write_sum(self, expression: Any, target: Any, number: str | None) -> None:
        self._reduced(expression, target, number, "0", "{0} += {1};")

    def _write_prod(self, expression: Any, target: Any, number: str | None) -> None:
        self._reduced(expression, target, number, "1", "{0} *= {1};")

    def _extreme(self, expression: Any, target: Any, number: str | None, operation: str, sign: float) -> None:
        notation = self.syntax.notation
        first = notation.constant(sign * np.inf, "float")[0]
        chosen = notation.apply(operation, [("{0}", ATOM), ("{1}", ATOM)])[0]
        self._reduced(expression, target, number, first, f"{{0}} = {chosen};")

    def _write_max(self, expression: Any, target: Any, number: str | None) -> None:
        self._extreme(expression, target, number, "maximum", -1.0)

    def _write_min(self, expression: Any, target: Any, number: str | None) -> None:
        self._extreme(expression, target, number, "minimum", 1.0)

    def _write_argmax(self, expression: Any, target: Any, number: str | None, than: str = ">") -> None:
        (x,), axis = expression.arguments, expression.value
        others = tuple(size for i, size in enumerate(x.shape) if i != axis)
        with self._loops(others) as outer:

            def element(index: str) -> str:
                return self._text(x, [*outer[:axis], index, *outer[axis:]])[0]

            def added(total: str, inner: Sequence[str]) -> str:
                # NaN is as NumPy has it: the first one is the largest.
                here, best = element(inner[0]), element(self.syntax.position.format(total))
                return f"if ({here} {than} {best} || ({here} != {here} && {best} == {best})) {total} = {inner[0]};"

            self._total(outer, target, number, "0", (x.shape[axis],), added)

    def _write_argmin(self, expression: Any, target: Any, number: str | None) -> None:
        self._write_argmax(expression, target, number, "<")

    def _cumulated(self, expression: Any, target: Any, first: str, operator: str) -> None:
        (x,), axis = expression.arguments, expression.value
        others = tuple(size for i, size in enumerate(x.shape) if i != axis)
        with self._loops(others) as outer:
            total = self._name()
            self.lines.append(self.syntax.changing.format(name=total, text=first))
            with self._loops((x.shape[axis],)) as (index,):
                where = [*outer[:axis], index, *outer[axis:]]
                self.lines.append(f"{target(where)} = {total} {operator} {self._text(x, where)[0]};")

    def _write_cumulative_sum(self, expression: Any, target: Any, _: str | None) -> None:
        self._cumulated(expression, target, "0", "+=")

    def _write_cumulative_prod(self, expression: Any, target: Any, _: str | None) -> None:
        self._cumulated(expression, target, "1", "*=")

    def _write_concat(self, expression: Any, target: Any, _: str | None) -> None:
        axis = expression.value
        starts = accumulate([0, *(x.shape[axis] for x in expression.arguments)])
        for x, start in zip(expression.arguments, starts, strict=False):
            with self._loops(x.shape) as indices:
                where = [*indices[:axis], _shifted(start, 1, indices[axis]), *indices[axis + 1 :]]
                self.lines.append(f"{target(where)} = {self._text(x, list(indices))[0]};")

    def _write_matmul(self, expression: Any, target: Any, number: str | None) -> None:
        x, y = expression.arguments
        with self._loops(expression.shape) as outer:
            *batch, row, column = outer

            def added(total: str, inner: Sequence[str]) -> str:
                left = self._text(x, [*_last(x.shape[:-2], batch), row, inner[0]])
                right = self._text(y, [*_last(y.shape[:-2], batch), inner[0], column])
                return f"{total} += {self.syntax.notation.apply('multiply', [left, right])[0]};"

            self._total(outer, target, number, "0", x.shape[-1:], added)

    def _write_einsum(self, expression: Any, target: Any, number: str | None) -> None:
        terms, _, output = expression.value.partition("->")
        letters = terms.split(",")
        sizes = {
            letter: size
            for term, x in zip(letters, expression.arguments, strict=True)
            for letter, size in zip(term, x.shape, strict=True)
        }
        summed = [letter for letter in sizes if letter not in output]
        with self._loops(expression.shape) as outer:

            def added(total: str, inner: Sequence[str]) -> str:
                where = dict(zip(output, outer, strict=True)) | dict(zip(summed, inner, strict=True))
                factors = [
                    self._text(x, [where[letter] for letter in term])
                    for term, x in zip(letters, expression.arguments, strict=True)
                ]
                product = factors[0]
                for factor in factors[1:]:
                    product = self.syntax.notation.apply("multiply", [product, factor])
                return f"{total} += {product[0]};"

            self._total(outer, target, number, "0", tuple(sizes[letter] for letter in summed), added)

    def _write_add_rows(self, expression: Any, target: Any, _: str | None) -> None:
        positions, rows = expression.arguments
        with self._loops(expression.shape) as indices:
            self.lines.append(f"{target(indices)} = 0;")
        with self._loops(rows.shape) as indices:
            found = self._position(positions, indices[: positions.ndim], expression.shape[0])
            place = target([found, *indices[positions.ndim :]])
            self.lines.append(f"{place} += {self._text(rows, list(indices))[0]};")


def _moves(reshaped: Any) -> bool:
    """Whether a reshape does more than put in or drop axes of size 1."""
    before, after = ([size for size in x.shape if size != 1] for x in (reshaped.arguments[0], reshaped))
    return before != after


def _last(shape: Shape, indices: Sequence[str]) -> list[str]:
    """Return the indices into an array of a shape that is broadcast."""
    own = indices[len(indices) - len(shape) :] if len(indices) >= len(shape) else ["0"] * len(shape)
    return ["0" if size == 1 else index for size, index in zip(shape, own, strict=True)]


def _shifted(start: int, step: int, index: str) -> str:
    scaled = index if step == 1 else f"{step} * {index}"
    if index == "0":
        return str(start)
    return scaled if start == 0 else f"({start} + {scaled})"


def _linear(shape: Shape, indices: Sequence[str]) -> str:
    """Return the place among all elements, in row-major order."""
    terms, stride = [], 1
    for size, index in zip(reversed(shape), reversed(indices), strict=True):
        if index != "0":
            terms.append(index if stride == 1 else f"{stride} * {index}")
        stride *= size
    return " + ".join(reversed(terms)) or "0"


def indented(lines: Sequence[str]) -> Iterator[str]:
    """Yield lines with those of a block behind each other's braces."""
    depth = 0
    for line in lines:
        depth -= line.startswith("}")
        yield "    " * depth + line
        depth += line.endswith("{")
