"""Proving one elementwise type: its declared derivatives are those of its declared forward function.

Both functions are read as formulas. On each case of their conditions the difference of the declared derivative and of
the one that SymPy derives has to simplify to zero. Where two cases meet, both have to come to the same value and the
same derivative, unless a kink is declared there. Points where a formula itself has no value (0/0, an infinite slope)
count as outside of it, and borders of the domain are not looked at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import sympy

from graphrun.check.symbolic.cases import CannotDecideError, Case, by_cases
from graphrun.check.symbolic.lowering import exact, formula_of, read
from graphrun.check.symbolic.region import DIGITS, Point, is_zero
from graphrun.check.symbolic.variants import Variant, concrete_settings, open_settings, variants
from graphrun.declare.nodetype import Kink, NodeType
from graphrun.declare.trace import CannotTraceError
from graphrun.plugins.registry import error_text

POINTS = 12
"""At how many points of a case a derivative is tried that could not be shown to be right."""

READING_POINTS = 2
"""At how many points of a case the formulas are compared with what the functions give on NumPy."""

TOLERANCE = 1e-10
"""The relative difference above which a derivative is wrong; what is smaller may be a constant's rounding error."""

READING_TOLERANCE = 1e-7


@dataclass
class ProofFindings:
    """What a proof found.

    Attributes:
        wrong: a counterexample in words, for each thing that is wrong.
        undecided: what could not be shown, and why.
        derivatives: how many derivatives were shown, those of a case counted each.
        symbols: the settings that it holds for every value of, as ``slope > 0``.
        settings: the settings that it was shown for one by one; empty where it holds for all.
    """

    wrong: list[str] = field(default_factory=list)
    undecided: list[str] = field(default_factory=list)
    derivatives: int = 0
    symbols: list[str] = field(default_factory=list)
    settings: list[dict[str, Any]] = field(default_factory=list)

    @property
    def is_proven(self) -> bool:
        """Whether everything was shown."""
        return not self.wrong and not self.undecided


def prove_derivatives(declared: NodeType) -> ProofFindings:
    """Prove the derivatives of an elementwise type for all settings, or else for those that it is declared with."""
    general = _prove(declared, open_settings(declared))
    if general.is_proven or general.wrong or not general.symbols:
        return general
    single = concrete_settings(declared)
    special = _prove(declared, single)
    special.settings = single
    return special if special.is_proven or special.wrong else general


def _prove(declared: NodeType, settings: Sequence[Mapping[str, Any]]) -> ProofFindings:
    findings = ProofFindings()
    if not settings:
        findings.undecided.append("its settings have no defaults, and no example gives them")
    for one in settings:
        symbols = [value for value in one.values() if isinstance(value, sympy.Symbol)]
        texts = [f"{s.name} > 0" if s.is_positive else f"{s.name} < 0" if s.is_negative else s.name for s in symbols]
        findings.symbols += [text for text in texts if text not in findings.symbols]
        try:
            for variant in variants(declared, one):
                Proof(declared, variant, findings).run()
        except CannotTraceError as error:
            findings.undecided.append(str(error))
    return findings


class Proof:
    """The proof for one variant of a type; what is found is added to the findings."""

    def __init__(self, declared: NodeType, variant: Variant, findings: ProofFindings) -> None:
        self.declared = declared
        self.variant = variant
        self.findings = findings
        self.symbols = [*variant.inputs, *variant.open_settings]

    def run(self) -> None:
        """Go through the cases, until something is wrong."""
        for start in self.variant.starts:
            try:
                for case, outcomes in by_cases(start, self.judge):
                    for outcome in outcomes:
                        self.report(case, outcome)
                    if self.findings.wrong:
                        return
            except CannotDecideError as error:
                self.findings.undecided.append(f"SymPy cannot decide {error}")

    def judge(self, case: Case) -> list[CaseFormulas]:
        """Take the formulas of a case; raises `MissingSignError` where it leaves something open."""
        if case.zeros and any(self.is_at(kink, case) for kink in self.declared.kinks):
            return []
        forward = case.decide(self.variant.forward)
        return [
            CaseFormulas(symbol, case.decide(part), forward, *self.beside(case, symbol, forward))
            for symbol, part in zip(self.variant.inputs, self.variant.local_derivatives, strict=True)
            if part is not None
        ]

    def beside(self, case: Case, symbol: sympy.Symbol, forward: sympy.Expr) -> tuple[sympy.Expr, sympy.Expr]:
        """Return the forward function's formulas below and above a case, along an input."""
        if not case.zeros:
            return forward, forward
        beside = (replace(case, along=symbol, direction=direction) for direction in (-1, 1))
        below, above = (one.decide(self.variant.forward) for one in beside)
        return below, above

    def is_at(self, kink: Kink, case: Case) -> bool:
        """Whether a case lies on a declared kink."""
        for name, place in kink.at.items():
            symbol = self.variant.inputs[self.declared.inputs.index(name)]
            if callable(place):
                inputs = [case.at_zeros(one) for one in self.variant.inputs]
                where = case.decide(read(self.variant.recorder, place, inputs, self.variant.settings))
            elif not isinstance(place, str):
                where = exact(place)
            elif place not in self.variant.settings:
                where = self.variant.inputs[self.declared.inputs.index(place)]
            elif self.variant.settings[place] is None:
                return False
            else:
                where = formula_of(self.variant.recorder, self.variant.settings[place])
            if sympy.simplify(case.at_zeros(symbol - where)) != 0:
                return False
        return True

    def report(self, case: Case, outcome: CaseFormulas) -> None:
        """Add to the findings what a case shows of one derivative."""
        pieces = [(outcome.below, -1), (outcome.above, 1)] if outcome.is_border(case) else [(outcome.below, 1)]
        slopes = [outcome.settle(case, sympy.diff(piece, outcome.symbol), side) for piece, side in pieces]
        values = [outcome.settle(case, piece, side) for piece, side in pieces]
        here = outcome.settle(case, outcome.forward, 1)
        declared = outcome.settle(case, outcome.declared, 1)
        smooth = all(is_zero(case.at_zeros(value - here), case.region) for value in values)
        if smooth and all(is_zero(declared - slope, case.region) for slope in slopes):
            self.findings.derivatives += 1
            self.compare_reading(case, outcome, declared)
            return
        tried = 0
        for point in case.region.points(self.symbols, POINTS):
            found, at = _number(declared, point), _number(here, point)
            expected = [_number(slope, point) for slope in slopes]
            near = [_number(value, point) for value in values]
            if None in (found, at, *expected, *near):
                continue
            tried += 1
            text = self.counterexample(outcome, point, found, expected, any(_differ(number, at) for number in near))
            if text is not None:
                self.findings.wrong.append(text)
                return
        agree = f"they agree at {tried} points" if tried else "no point was found to compare them at"
        self.findings.undecided.append(
            f"SymPy cannot show that the derivative for {outcome.symbol.name!r} is right{_where(case)}; {agree}"
        )

    def counterexample(
        self, outcome: CaseFormulas, point: Point, found: Any, expected: Sequence[Any], jumps: bool
    ) -> str | None:
        """Return what is wrong at a point, if anything is."""
        subject = f"the derivative for {outcome.symbol.name!r} at {self.place(point)} is {_text(found)}"
        if jumps:
            return f"{subject}, but the function jumps there, and no kink is declared"
        if len(expected) == 2 and _differ(*expected):
            slopes = f"{_text(expected[0])} below and {_text(expected[1])} above"
            return f"{subject}, but there is none: the slope is {slopes}, and no kink is declared"
        if not _differ(found, expected[0]):
            return None
        off = f" (off by {100 * abs(float((found - expected[0]) / expected[0])):.3g}%)" if expected[0] != 0 else ""
        return f"{subject}, the true one is {_text(expected[0])}{off}"

    def place(self, point: Point) -> str:
        """Write a point: ``x = 2, slope = 0.5``."""
        usual = dict(self.declared.default_settings or ())
        numbers = {symbol.name: _text(point[symbol]) for symbol in self.symbols}
        for name, value in self.variant.settings.items():
            if name not in numbers and (name not in usual or value != usual[name]):
                numbers[name] = _text(value) if isinstance(value, sympy.Basic) else repr(value)
        return ", ".join(f"{name} = {number}" for name, number in numbers.items())

    def compare_reading(self, case: Case, outcome: CaseFormulas, declared: sympy.Expr) -> None:
        """Compare the formulas with what the functions give on NumPy, so that nothing is proven of a misreading."""
        if case.zeros:
            return
        position = self.variant.inputs.index(outcome.symbol)
        for point in case.region.points(self.symbols, READING_POINTS):
            try:
                computed = self.computed(point, position)
            except (Exception, SystemExit) as error:  # a plugin's own functions are called, which may raise anything
                self.findings.undecided.append(f"on NumPy it fails at {self.place(point)}: {error_text(error)}")
                return
            for formula, number in zip((outcome.forward, declared), computed, strict=True):
                value = _number(formula, point)
                if value is not None and not np.isclose(float(value), number, READING_TOLERANCE, READING_TOLERANCE):
                    self.findings.undecided.append(
                        f"the formula {formula} is {_text(value)} at {self.place(point)}, "
                        f"but NumPy computes {number:.10g}"
                    )
                    return

    def computed(self, point: Point, position: int) -> tuple[float, float]:
        """Return the output and a derivative at a point, as the functions compute them on NumPy."""
        settings = {name: _plain(value, point) for name, value in self.variant.settings.items()}
        inputs = [np.float64(point[symbol]) for symbol in self.variant.inputs]
        with np.errstate(all="ignore"):
            output = np.float64(self.declared.function(np, *inputs, **settings))
            parts = self.declared.derivative(np, output, *inputs, **settings) if self.declared.derivative else ()
        return float(output), float(parts[position])


@dataclass(frozen=True)
class CaseFormulas:
    """The formulas of a case for one input: the declared derivative, and the forward function there and beside it."""

    symbol: sympy.Symbol
    declared: sympy.Expr
    forward: sympy.Expr
    below: sympy.Expr
    above: sympy.Expr

    def is_border(self, case: Case) -> bool:
        """Whether different formulas meet here."""
        return bool(case.zeros) and not (self.below == self.above == self.forward)

    def settle(self, case: Case, expression: sympy.Expr, side: int) -> sympy.Expr:
        """Put the zeros of a case into an expression; its limit from a side where it has no value there."""
        here = case.at_zeros(expression)
        if not here.has(sympy.nan, sympy.zoo, sympy.oo, -sympy.oo) or not case.zeros:
            return here
        distance = sympy.Dummy("d", positive=True)
        moved = case.at_zeros(expression.subs(self.symbol, self.symbol + side * distance))
        return sympy.limit(moved, distance, 0)


def _where(case: Case) -> str:
    signs = [f"{expression} {'>' if sign > 0 else '<'} 0" for expression, sign in case.signs.items()]
    parts = signs + [f"{symbol} = {expression}" for symbol, expression in case.zeros.items()]
    return f" where {', '.join(parts)}" if parts else ""


def _number(expression: sympy.Expr, point: Point) -> Any:
    value = expression.subs(point).evalf(DIGITS)
    return value if value.is_Number and value.is_real and value.is_finite else None


def _differ(one: Any, other: Any) -> bool:
    return bool(abs(one - other) > TOLERANCE * max(abs(one), abs(other)))


def _text(number: Any) -> str:
    return f"{float(number):.10g}"


def _plain(value: Any, point: Point) -> Any:
    if isinstance(value, sympy.Symbol):
        return int(point[value]) if value.is_integer else float(point[value])
    if isinstance(value, sympy.Basic):
        return int(value) if value.is_Integer else float(value)
    return value
