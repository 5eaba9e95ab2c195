"""Expressions → text in a notation: the lines of a program, or one line for a reader."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from functools import reduce
from itertools import groupby
from types import MappingProxyType

from graphrun.declare.notation import ATOM, SIGN, Bound, Notation
from graphrun.declare.trace import Expression, count_uses, inputs_first

DEEPEST = 50
"""Expressions that are nested deeper are cut in two; Python's parser takes 200 levels of parentheses."""

MOST_OPERATIONS = 20
"""A formula of more operations and operands explains nothing."""


class Writer:
    """Writes expressions as lines: a name for what is used more than once, everything else where it is used.

    `add` takes a line, `name` returns a new name for an intermediate number.
    """

    def __init__(self, notation: Notation, add: Callable[[str], None], name: Callable[[], str]) -> None:
        self.notation = notation
        self.add = add
        self.name = name

    def write(
        self,
        roots: Sequence[Expression],
        names: Mapping[str, str],
        known: Mapping[Expression, str] = MappingProxyType({}),
    ) -> list[str]:
        """Write expressions, and return the text of each; the texts of the inputs bind as tightly as names do."""
        uses = count_uses(roots, known)
        operands = {name: (text, ATOM) for name, text in names.items()}
        written: dict[int, Bound] = {}
        depths: dict[int, int] = {}
        for expression in inputs_first(roots, known):
            key = id(expression)
            if expression in known:
                written[key], depths[key] = (known[expression], ATOM), 1
                continue
            found = _term(expression, operands, self.notation, written, known)
            depth = 1 + max((depths[id(argument)] for argument in expression.arguments), default=0)
            if expression.arguments and (uses[key] > 1 or depth > DEEPEST):
                if not found[0].isidentifier():
                    name = self.name()
                    self.add(f"{name} = {found[0]}")
                    found = name, ATOM
                depth = 1
            written[key], depths[key] = found, depth
        return [written[id(root)][0] for root in roots]


def write_line(
    root: Expression,
    names: Mapping[str, Bound],
    notation: Notation,
    known: Mapping[Expression, Bound] = MappingProxyType({}),
    most: int = MOST_OPERATIONS,
) -> Bound | None:
    """Write an expression out; None where it has more than so many operations and operands.

    `names` are the texts of the inputs, `known` those of expressions that have a name of their own.
    """
    written: dict[int, Bound] = {}
    sizes: dict[int, int] = {}
    for expression in inputs_first([root], known):
        key = id(expression)
        # What is used twice is written twice.
        is_known = expression in known
        sizes[key] = 1 if is_known else 1 + sum(sizes[id(argument)] for argument in expression.arguments)
        if sizes[key] > most:
            return None
        written[key] = known[expression] if is_known else _term(expression, names, notation, written, known)
    return written[id(root)]


def _term(
    expression: Expression,
    names: Mapping[str, Bound],
    notation: Notation,
    written: Mapping[int, Bound],
    known: Container[Expression],
) -> Bound:
    """Write an expression whose arguments are written already."""
    operation, arguments = expression.operation, expression.arguments
    if operation == "input":
        return names[expression.value]
    if expression.is_constant:
        return notation.constant(expression.value, expression.kind)
    if notation.is_for_readers and operation == "multiply":
        return _product(_factors(expression, known), notation, written)
    if notation.is_for_readers and operation == "negative" and arguments[0].operation in {"multiply", "divide"}:
        # The sign of a product is that of its first factor, and needs no parentheses.
        text, binding = written[id(arguments[0])]
        return f"-{text}", min(binding, SIGN)
    return notation.apply(operation, [written[id(argument)] for argument in arguments], arguments)


def _product(factors: Iterable[Expression], notation: Notation, written: Mapping[int, Bound]) -> Bound:
    """Write a product; factors that follow each other and are the same are a power, as in ``3 * x ** 2``."""
    parts = []
    for key, same in groupby(map(id, factors)):
        count = sum(1 for _ in same)
        parts.append(written[key] if count == 1 else notation.apply("pow", [written[key], (str(count), ATOM)]))
    return reduce(lambda product, part: notation.apply("multiply", [product, part]), parts)


def _factors(product: Expression, known: Container[Expression]) -> Iterator[Expression]:
    """Yield the factors of a product of products, as long as they stand to the left."""
    first, second = product.arguments
    if first.operation == "multiply" and first not in known:
        yield from _factors(first, known)
    else:
        yield first
    yield second
