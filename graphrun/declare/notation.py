"""How languages write expressions: for each a table of forms of operations, of names of functions, and of numbers.

A form is a template with {0}, {1}, ... for the arguments, and how tightly it binds, in the order of Python's
operators: an argument that binds less tightly is put in parentheses.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import NamedTuple

from graphrun.base.numbertext import number
from graphrun.declare.trace import BOOL, Expression

CHOICE, NOT, COMPARISON, OR, XOR, AND, SUM, PRODUCT, SIGN, POWER, ATOM = range(11)

LARGEST_DENOMINATOR = 12
"""Readers see numbers as fractions, like 1/6, up to this denominator."""

Bound = tuple[str, int]
"""A text, and how tightly it binds."""


class Form(NamedTuple):
    """How an operation is written: a template, how tightly it binds, and how tightly its arguments have to at least."""

    template: str
    binding: int
    arguments: tuple[int, ...]


def call(name: str, arity: int) -> Form:
    """Return the form of a function's call."""
    return Form(f"{name}({', '.join(f'{{{k}}}' for k in range(arity))})", ATOM, (CHOICE,) * arity)


def signed(text: str) -> Bound:
    """Return the text of a number, which may have a sign."""
    return text, SIGN if text.startswith("-") else ATOM


Forms = Mapping[str, Form | Callable[..., Form | None]]


@dataclass(frozen=True, kw_only=True)
class Notation:
    """How a language writes expressions.

    Attributes:
        forms: by operation its form, or a function that chooses one by what the operation is applied to; None from it,
            as no entry, is a function's call.
        functions: the functions that have other names than their operations.
        function: the form of a call, by name and number of arguments.
        number: writes a known number, by its value and kind.
        truths: false and true.
        enclosed: parentheses.
        name: writes the name of a value.
        words: writes words amid mathematics.
        is_for_readers: what is multiplied by itself is a power, and no sign follows an operator without parentheses.
        used: the functions and constants that were written by name.
    """

    forms: Forms
    number: Callable[[float, str], Bound]
    functions: Mapping[str, str] = field(default_factory=dict)
    function: Callable[[str, int], Form] = call
    truths: tuple[str, str] = ("False", "True")
    enclosed: str = "({})"
    name: Callable[[str], str] = str
    words: Callable[[str], str] = str
    is_for_readers: bool = False
    used: set[str] = field(default_factory=set)

    def form(self, operation: str, arity: int, arguments: Sequence[Expression] = ()) -> Form:
        """Return how an operation is written; a form of ``{0}`` alone is the argument as it is."""
        form = self.forms.get(operation)
        if form is not None and not isinstance(form, Form):
            form = form(*arguments)
        if form is None:
            name = self.functions.get(operation, operation)
            self.used.add(name)
            form = self.function(name, arity)
        return form

    def constant(self, value: float, kind: str) -> Bound:
        """Return the text of a known number."""
        if kind == BOOL:
            return self.truths[bool(value)], ATOM
        text, binding = self.number(value, kind)
        if (name := text.removeprefix("-")).isidentifier():
            self.used.add(name)
        return text, binding

    def apply(self, operation: str, parts: Sequence[Bound], arguments: Sequence[Expression] = ()) -> Bound:
        """Write an operation on what is written already."""
        form = self.form(operation, len(parts), arguments)
        if form.template == "{0}":
            return parts[0]
        texts = []
        for position, ((text, binding), need) in enumerate(zip(parts, form.arguments, strict=True)):
            is_enclosed = binding < need or (text.startswith("-") and self._follows_an_operator(form, position))
            texts.append(self.enclosed.format(text) if is_enclosed else text)
        return form.template.format(*texts), form.binding

    def _follows_an_operator(self, form: Form, position: int) -> bool:
        found = self.is_for_readers and form.binding != ATOM and re.search(rf"[ -]\{{{position}\}}", form.template)
        return bool(found)


AS_IT_IS = Form("{0}", CHOICE, (CHOICE,))


def _product(operator: str) -> Form:
    return Form(f"{{0}} {operator} {{1}}", PRODUCT, (PRODUCT, PRODUCT + 1))


def _comparison(operator: str) -> Form:
    return Form(f"{{0}} {operator} {{1}}", COMPARISON, (OR, OR))


OPERATORS = {
    "add": Form("{0} + {1}", SUM, (SUM, SUM + 1)),
    "subtract": Form("{0} - {1}", SUM, (SUM, SUM + 1)),
    "multiply": _product("*"),
    "divide": _product("/"),
    "negative": Form("-{0}", SIGN, (SIGN,)),
    "pow": Form("{0} ** {1}", POWER, (POWER + 1, POWER)),
    "equal": _comparison("=="),
    "not_equal": _comparison("!="),
    "less": _comparison("<"),
    "less_equal": _comparison("<="),
    "greater": _comparison(">"),
    "greater_equal": _comparison(">="),
    "logical_and": Form("{0} & {1}", AND, (AND, AND + 1)),
    "logical_or": Form("{0} | {1}", OR, (OR, OR + 1)),
    "logical_xor": Form("{0} ^ {1}", XOR, (XOR, XOR + 1)),
    "logical_not": Form("not {0}", NOT, (NOT,)),
}
"""The operators that programs in Python have in common."""


# --- plain Python ----------------------------------------------------------------------------------------------------


def _python_power(base: Expression, exponent: Expression) -> Form | None:
    """Write an operator where it gives no complex number, as of a negative base and an exponent that is not whole."""
    is_whole = exponent.is_constant and float(exponent.value).is_integer()
    return OPERATORS["pow"] if is_whole or (base.is_constant and base.value >= 0) else None


def _python_cast(x: Expression) -> Form:
    return call("float", 1) if x.kind == BOOL else AS_IT_IS


def _python_number(value: float, _kind: str) -> Bound:
    if abs(value) == math.pi:
        return signed("pi" if value > 0 else "-pi")
    if not math.isfinite(value):
        return signed("nan" if math.isnan(value) else "inf" if value > 0 else "-inf")
    short = f"{value:g}"
    # -0 would be a whole number, which has no sign.
    is_exact = value == float(short) and (value or math.copysign(1, value) > 0)
    return signed(short if is_exact else repr(value))


def python() -> Notation:
    """Return what a reader writes in plain Python, with functions of `math`."""
    forms: Forms = {
        **OPERATORS,
        "pow": _python_power,
        "where": Form("{1} if {0} else {2}", CHOICE, (NOT, NOT, CHOICE)),
        "remainder": _product("%"),
        "floor_divide": _product("//"),
        "cast": _python_cast,
        "number": _python_cast,
    }
    functions = {"maximum": "max", "minimum": "min", "round": "rint"}
    return Notation(forms=forms, functions=functions, number=_python_number)


# --- plain text ------------------------------------------------------------------------------------------------------


def readable_number(value: float, _kind: str = "") -> Bound:
    """Return a number in six digits, or as a fraction where it is one."""
    text = number(value)
    if float(text) != value and math.isfinite(value):
        fraction = Fraction(value).limit_denominator(LARGEST_DENOMINATOR)
        if fraction.numerator / fraction.denominator == value:
            return str(fraction), SIGN if value < 0 else PRODUCT
    return signed(text)


TEXT_FORMS = OPERATORS | {
    "logical_and": Form("{0} and {1}", CHOICE, (NOT, NOT)),
    "logical_or": Form("{0} or {1}", CHOICE, (NOT, NOT)),
    "logical_xor": Form("{0} xor {1}", CHOICE, (NOT, NOT)),
    "logical_not": Form("not {0}", NOT, (COMPARISON,)),
    "remainder": _product("%"),
    "floor_divide": _product("//"),
    "matmul": _product("@"),
    "cast": AS_IT_IS,
    "number": AS_IT_IS,
}

TEXT = Notation(forms=TEXT_FORMS, number=readable_number, truths=("false", "true"), is_for_readers=True)
"""Plain text, close to the expressions of graph files."""
