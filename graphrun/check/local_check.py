"""Comparing the derivatives of a node type with finite differences at given numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from graphrun.base.norms import norm
from graphrun.check.finite_differences import Slopes, differentiate
from graphrun.check.subject import BrokenTypeError, Subject, shape_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from graphrun.check.subject import Array, Inputs
    from graphrun.declare.nodetype import NodeType

TOLERANCE = 1e-4
"""The relative difference that is let pass: far below the 5e-4 that a check has to find."""

ERROR_MARGIN = 4.0
"""How many times its own estimate a slope by finite differences may be off."""

ALMOST_ZERO = 1e-250
"""What is smaller is compared with 0 only, as numbers near the end of the range of float64 have lost digits."""

ELEMENTS = 64
"""An array up to this size is moved element by element, a larger one along some axes and random directions."""

SAMPLED_ELEMENTS = 8
RANDOM_DIRECTIONS = 4


@dataclass(frozen=True)
class LocalCheck:
    """Derivatives compared with finite differences.

    Attributes:
        failures: one text for each input whose derivative is wrong, with the worst point.
        compared: how many derivatives were compared: points for each input, or directions of an array.
        skipped: how many could not be: at a kink, at a border of the domain, where nothing is finite.
    """

    failures: list[str]
    compared: int
    skipped: int


def check_local_derivatives(
    node_type: NodeType, settings: Mapping[str, Any], inputs: Sequence[Any], *, tolerance: float = TOLERANCE
) -> LocalCheck:
    """Compare the derivatives of a node type with finite differences at given inputs.

    Args:
        node_type: the type.
        settings: settings other than the defaults; the one that tells steps from evaluations is true by default.
        inputs: one array (or number) an input, those of the engine included; those of an elementwise type broadcast.
        tolerance: the relative difference that is let pass.
    """
    subject = Subject(node_type, dict(node_type.default_settings or ()) | dict(settings))
    compare = compare_points if node_type.is_elementwise else compare_arrays
    if node_type.derivative is None:
        return LocalCheck([], 0, 0)
    try:
        arrays = subject.arrays(inputs)
        checks = compare(subject, arrays, tolerance).values()
        others = list(kept_failures(subject, arrays))
    except BrokenTypeError as problem:
        return LocalCheck(problem.texts, 0, 0)
    return LocalCheck(
        [*(text for check in checks for text in check.failures), *others],
        sum(check.compared for check in checks),
        sum(check.skipped for check in checks),
    )


def kept_failures(subject: Subject, inputs: Inputs) -> Iterator[str]:
    """With what the forward function keeps, both functions give what they give without, again and again."""
    if subject.type.forward_keeping is None or subject.type.derivative is None:
        return
    output = subject.forward(inputs)
    kept_output, kept = subject.keeping(inputs)
    leading = [] if subject.type.is_elementwise else [np.random.default_rng(0).standard_normal(output.shape)]
    pairs = [("its keeping makes another output than the forward function", output, kept_output)]
    plain = subject.derivatives(inputs, output, *leading)
    for _ in range(2):
        given = subject.derivatives(inputs, output, *leading, kept=kept)
        for name, one, other in zip(subject.names(len(inputs)), plain, given, strict=True):
            what = (
                f"with what is kept, its {subject.type.derivative_decorator} for {name!r} is another one than without"
            )
            if one is not None and other is not None:
                pairs.append((what, one, other))
            elif one is not other:
                yield f"{subject.text}: {what}"
    for what, one, other in pairs:
        scale = np.max(np.abs(one), initial=0, where=np.isfinite(one))
        if one.shape != other.shape or not np.allclose(one, other, rtol=1e-9, atol=1e-12 * scale, equal_nan=True):
            yield f"{subject.text}: {what}"
            return


def compare_points(subject: Subject, inputs: Inputs, tolerance: float) -> dict[str, LocalCheck]:
    """Compare the partial derivatives of an elementwise type at many points at once; a result for each input."""
    try:
        inputs = [array.ravel() for array in np.broadcast_arrays(*inputs)]
    except ValueError:
        raise subject.broken(f"inputs of {shape_text(inputs)} do not broadcast") from None
    output = subject.forward(inputs)
    derivatives = subject.derivatives(inputs, output)
    on_kink = np.logical_or.reduce([np.zeros(output.shape, bool), *subject.at_kink(inputs).values()])
    checks = {}
    for i, (name, derivative) in enumerate(zip(subject.names(len(inputs)), derivatives, strict=True)):
        if derivative is None:
            continue
        slopes = _partial_slopes(subject, inputs, i)
        with np.errstate(all="ignore"):
            # Far out on a cosine's top the derivative is what rounding left of the number, another one at the next.
            beside = [np.nextafter(x, np.inf) if k == i else x for k, x in enumerate(inputs)]
            unsure = np.abs(subject.derivatives(beside, subject.forward(beside))[i] - derivative)
            slopes = Slopes(slopes.slope, slopes.error + np.nan_to_num(unsure, nan=0, posinf=0))
            # A slope that changes the value by less than its last digits over the point's own scale is as good as 0.
            negligible = np.abs(output) / np.maximum(np.abs(inputs[i]), 1)
        verdict = _Verdict.of(derivative, slopes, negligible, tolerance, ~on_kink)
        failures = []
        if verdict.wrong.any():
            worst = int(np.argmax(np.where(verdict.wrong, verdict.relative, -1)))
            failures.append(
                f"{subject.text}: the derivative for {name!r} at {subject.point(inputs, worst)} is "
                f"{verdict.numbers(derivative[worst], slopes.slope[worst], verdict.relative[worst])}; "
                f"wrong at {verdict.wrong.sum()} of {verdict.compared.sum()} points"
            )
        compared = int(verdict.compared.sum())
        checks[name] = LocalCheck(failures, compared, output.size - compared)
    return checks


def _partial_slopes(subject: Subject, inputs: Inputs, position: int) -> Slopes:
    x = inputs[position]
    slopes = _steps_along(subject, inputs, position, np.maximum(np.abs(x), 1))
    # The scale of most functions near 0 is 1, but of some (the logarithm) it is the distance from 0.
    small = (np.abs(x) < 1) & (x != 0) & ~(slopes.error <= 1e-6 * np.abs(slopes.slope))
    if not small.any():
        return slopes
    chosen = [array[small] for array in inputs]
    return slopes.replaced(small, _steps_along(subject, chosen, position, np.abs(x[small])))


def _steps_along(subject: Subject, inputs: Inputs, position: int, scale: Array) -> Slopes:
    regions = subject.regions(inputs, position)
    home = regions(inputs)

    def values_at(step: Array) -> tuple[Array, Array]:
        moved = [*inputs]
        moved[position] = inputs[position] + step
        values = subject.forward(moved).astype(np.float64)
        for here, there in zip(home, regions(moved), strict=True):
            values = np.where(here == there, values, np.nan)
        return values, np.abs(values)

    with np.errstate(all="ignore"):
        return differentiate(values_at, inputs[position], scale)


def compare_arrays(subject: Subject, inputs: Inputs, tolerance: float) -> dict[str, LocalCheck]:
    """Compare the vector-Jacobian products of a tensor type, with a random gradient; a result for each input."""
    random = np.random.default_rng(0)
    output = subject.forward(inputs)
    gradient = random.standard_normal(output.shape)
    products = subject.derivatives(inputs, output, gradient)
    on_kink = subject.at_kink(inputs)
    checks = {}
    for i, (name, product) in enumerate(zip(subject.names(len(inputs)), products, strict=True)):
        if product is None:
            continue
        domain = subject.domain(i)
        borders = [end for interval in domain.intervals for end in (interval.low, interval.high)] if domain else []
        fixed = np.broadcast_to(on_kink.get(i, np.False_), inputs[i].shape) | np.isin(inputs[i], borders)
        failures: list[str] = []
        compared = skipped = 0
        for label, direction in _directions(inputs[i].shape, random):
            pattern = np.where(fixed, 0.0, direction)
            if not pattern.any():
                skipped += 1
                continue
            slopes, along, size = _slope_along(subject, inputs, i, pattern, gradient)
            with np.errstate(all="ignore"):
                terms = product * along
                expected = np.sum(terms)
            verdict = _Verdict.of(expected, slopes, np.maximum(size, norm(terms)), tolerance)
            compared += int(verdict.compared)
            skipped += int(~verdict.compared)
            if verdict.wrong:
                failures.append(
                    f"the gradient of {name!r}{label} is "
                    f"{verdict.numbers(expected, slopes.slope, verdict.relative, np.max(np.abs(along)))}"
                )
        if failures:
            found = f"{failures[0]}; wrong in {len(failures)} of {compared} directions"
            failures = [f"{subject.text}, inputs of {shape_text(inputs)}: {found}"]
        checks[name] = LocalCheck(failures, compared, skipped)
    return checks


def _slope_along(
    subject: Subject, inputs: Inputs, position: int, pattern: Array, gradient: Array
) -> tuple[Slopes, Array, Array]:
    """The slope of <gradient, forward> along a pattern, what was moved, and the size of the terms."""
    x = inputs[position]
    regions = subject.regions(inputs, position)
    home = regions(inputs)
    size = np.asarray(np.sum(np.abs(gradient * subject.forward(inputs))))
    best: tuple[Slopes, Array, Array] | None = None
    for scale in (np.maximum(np.abs(x), 1), np.where(x == 0, 1, np.abs(x))):
        along = pattern * scale
        if best is not None and np.array_equal(along, best[1]):
            break  # the second scale is the first: the same steps would be taken once more

        def values_at(step: Array, along: Array = along) -> tuple[Array, Array]:
            moved = [*inputs]
            moved[position] = x + step * along
            terms = gradient * subject.forward(moved)
            stays = all(np.array_equal(*pair) for pair in zip(home, regions(moved), strict=True))
            return np.asarray(np.sum(terms) if stays else np.nan), np.asarray(np.sum(np.abs(terms)))

        with np.errstate(all="ignore"):
            slopes = differentiate(values_at, np.asarray(1.0), np.asarray(1.0))
        if best is None or slopes.error < best[0].error:
            best = slopes, along, size
        if slopes.error <= 1e-6 * np.abs(slopes.slope):
            break
    assert best is not None  # noqa: S101 (the loop runs)
    return best


def _directions(shape: tuple[int, ...], random: np.random.Generator) -> Iterator[tuple[str, Array]]:
    size = math.prod(shape)
    few = size <= ELEMENTS
    for number in range(size) if few else sorted(random.choice(size, SAMPLED_ELEMENTS, replace=False)):
        direction = np.zeros(shape)
        index = np.unravel_index(number, shape)
        direction[index] = 1.0
        yield f"[{', '.join(map(str, index))}]" if index else "", direction
    for _ in range(0 if few else RANDOM_DIRECTIONS):
        yield " in a random direction", random.choice([-1.0, 1.0], shape) * random.uniform(0.5, 1, shape)


@dataclass(frozen=True)
class _Verdict:
    compared: Any
    wrong: Any
    relative: Any

    @classmethod
    def of(cls, derivative: Any, slopes: Slopes, size: Any, tolerance: float, among: Any = True) -> _Verdict:
        """Judge derivatives: compared where the slope's error is small, wrong where the difference is large."""
        with np.errstate(all="ignore"):
            finite = np.isfinite(derivative)
            scale = np.maximum(np.where(finite, np.abs(derivative), 0), np.abs(slopes.slope))
            enough = tolerance * np.maximum(np.maximum(scale, size), ALMOST_ZERO)
            compared = among & np.isfinite(slopes.error) & (slopes.error <= enough)
            difference = np.where(finite, np.abs(derivative - slopes.slope), np.inf)
            wrong = compared & ~(difference <= tolerance * scale + ERROR_MARGIN * slopes.error)
            return cls(compared, wrong, np.where(scale > 0, difference / scale, np.inf))

    @staticmethod
    def numbers(derivative: Any, slope: Any, relative: Any, unit: Any = 1.0) -> str:
        off = f" (off by {100 * relative:.2g}%)" if np.isfinite(relative) else ""
        return f"{derivative / unit:.10g}, but finite differences give {slope / unit:.10g}{off}"
