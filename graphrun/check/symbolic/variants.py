"""The settings that a proof has to be made for: choices one by one, numbers as symbols.

A symbol stands for every number of the sign that the setting has by default and in the type's examples. A function
that decides by such a setting is read once for each way it can decide.
"""

from __future__ import annotations

import itertools
import math
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from inspect import Parameter
from typing import Any

import sympy
from sympy.core.relational import Relational

from graphrun.check.symbolic.cases import COMPARISONS, Case
from graphrun.check.symbolic.lowering import DecidesError, FormulaRecorder, exact, read, read_derivatives
from graphrun.declare.domain import Interval
from graphrun.declare.nodetype import NodeType
from graphrun.declare.trace import CannotTraceError

MOST_VARIANTS = 64
VARIADIC_INPUTS = 3
"""How many inputs a type is read with that takes any number of them."""


@dataclass(frozen=True)
class Variant:
    """A type with settings, as formulas; settings that are left open are symbols.

    What holds of the symbols, by the settings and the domain, is said by `starts`: one case for each interval of it.
    """

    settings: Mapping[str, Any]
    inputs: tuple[sympy.Symbol, ...]
    forward: sympy.Expr
    local_derivatives: tuple[sympy.Expr | None, ...]
    starts: tuple[Case, ...]
    recorder: FormulaRecorder

    @property
    def open_settings(self) -> list[sympy.Symbol]:
        """The settings that are symbols."""
        return [value for value in self.settings.values() if isinstance(value, sympy.Symbol)]


def open_settings(declared: NodeType) -> list[dict[str, Any]]:
    """Return settings that together stand for all: every choice, and symbols for numbers."""
    tried = concrete_settings(declared)
    choices = [_alternatives(declared, parameter, tried) for parameter in declared.keyword]
    combined = itertools.islice(itertools.product(*choices), MOST_VARIANTS)
    names = [parameter.name for parameter in declared.keyword]
    return _with_training(declared, [dict(zip(names, values, strict=True)) for values in combined])


def concrete_settings(declared: NodeType) -> list[dict[str, Any]]:
    """Return the settings by default and those of the examples."""
    found = [] if declared.default_settings is None else [dict(declared.default_settings)]
    found += [dict(declared.read_settings(example.settings)) for example in declared.examples]
    return _with_training(declared, [one for k, one in enumerate(found) if one not in found[:k]])


def _with_training(declared: NodeType, settings: list[dict[str, Any]]) -> list[dict[str, Any]]:
    name = declared.takes_training
    return settings if name is None else [one | {name: value} for one in settings for value in (True, False)]


def _alternatives(declared: NodeType, parameter: Parameter, tried: Sequence[Mapping[str, Any]]) -> list[Any]:
    name = parameter.name
    values = list(dict.fromkeys(one[name] for one in tried))
    found: list[Any] = []
    for kind in declared.kinds(name):
        if typing.get_origin(kind) is typing.Literal:
            found += typing.get_args(kind)
        elif kind is types.NoneType:
            found.append(None)
        elif kind is bool:
            found += [False, True]
        elif kind in (int, float):
            found.append(_symbol(name, values, is_whole=kind is int))
        else:
            return values
    return found


def _symbol(name: str, values: Sequence[Any], *, is_whole: bool) -> sympy.Symbol:
    numbers = [value for value in values if value is not None]
    assumptions = {"integer": True} if is_whole else {"real": True}
    if numbers and min(numbers) > 0:
        assumptions["positive"] = True
    elif numbers and max(numbers) < 0:
        assumptions["negative"] = True
    return sympy.Symbol(name, **assumptions)


def variants(declared: NodeType, settings: Mapping[str, Any]) -> Iterator[Variant]:
    """Yield the formulas of a type with settings, one for each way in which its functions decide by them.

    Raises:
        CannotTraceError: they cannot be written down.
    """
    names = list(declared.inputs)
    if declared.arity[1] is None:
        names[-1:] = [f"{names[-1]}[{k}]" for k in range(VARIADIC_INPUTS)]
    inputs = tuple(sympy.Symbol(name, real=True) for name in names)
    start = Case()
    for value in settings.values():
        if isinstance(value, sympy.Symbol) and (value.is_positive or value.is_negative):
            start = start.where(value, 1 if value.is_positive else -1)
    starts = [start]
    for position, symbol in enumerate(inputs):
        domain = declared.domain.get(declared.inputs[min(position, len(declared.inputs) - 1)])
        if domain is not None:
            starts = [_within(case, symbol, interval) for case in starts for interval in domain.intervals]
    pending = [(dict(settings), dict[Any, bool](), tuple(starts))]
    for _ in range(MOST_VARIANTS):
        if not pending:
            return
        known, assumed, cases = pending.pop()
        recorder = FormulaRecorder(assumed)
        try:
            forward = read(recorder, declared.function, inputs, known)
            parts = read_derivatives(recorder, declared, forward, inputs, known)
        except DecidesError as decides:
            pending += _ways(decides, known, assumed, cases)
        else:
            yield Variant(known, inputs, forward, parts, cases, recorder)
    raise CannotTraceError("it decides by its settings in too many ways")


def _ways(
    decides: DecidesError, settings: dict[str, Any], assumed: dict[Any, bool], cases: tuple[Case, ...]
) -> Iterator[tuple[dict[str, Any], dict[Any, bool], tuple[Case, ...]]]:
    """Yield the settings and conditions to read a function with that decides by a condition."""
    condition = decides.condition
    symbols = [value for value in settings.values() if isinstance(value, sympy.Symbol)]
    if not isinstance(condition, Relational) or not condition.free_symbols <= set(symbols):
        raise decides
    difference = condition.lhs - condition.rhs
    for sign in (-1, 0, 1):
        holds = COMPARISONS[type(condition)](sign)
        if sign:
            yield settings, {**assumed, condition: holds}, tuple(case.where(difference, sign) for case in cases)
            continue
        symbol = next(iter(condition.free_symbols))
        for number in sympy.solve(difference, symbol):
            known = {name: number if value == symbol else value for name, value in settings.items()}
            yield known, assumed, cases


def _within(case: Case, symbol: sympy.Symbol, interval: Interval) -> Case:
    if interval.low != -math.inf:
        case = case.where(symbol - exact(interval.low), 1)
    if interval.high != math.inf:
        case = case.where(symbol - exact(interval.high), -1)
    return case
