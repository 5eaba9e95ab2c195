"""Profile intervals: how far a parameter can go while the others do their best, and regions of two of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

import numpy as np

from graphrun.base.errors import UsageError
from graphrun.declare.solver import Solved, Vector
from graphrun.run.fit import Fit
from graphrun.solvers.least_squares import solve_from
from graphrun.solvers.quasi_newton import lbfgs

FARTHEST = 64
"""A profile that has not risen to where its interval ends on so many times the way is taken for one that never does."""

EXACT = 1e-12
"""Refits end where a step changes the objective by less than this share of it."""

DIGITS = 1e-8
"""The share of its way to which an end is found."""

JUMP = 1e-3
"""Where a profile is no nearer to the limit than by this share of it, there is no end but a jump."""

STRIDE = 1.5
CLOSE = 0.02

CONTOUR_POINTS = 48
BETTER = 1e-3
"""A place that is better than the fit by so many squared standard errors shows that the fit is none."""


@dataclass(frozen=True)
class Intervals:
    """Profile intervals, and what they were read off.

    Attributes:
        kind, level: as of the uncertainty.
        estimates: the parameters of the fit.
        intervals: the two ends; None for an end that is open.
        profiles: for each parameter its values, and how far the fit is worse there: the root of the deviance, negative
            below the estimate; an interval ends where it is `limit`.
        limit: that of an interval.
        contour: the points of the joint region of two parameters, by name; empty where none was asked for.
        notes: why an end is open.
    """

    kind: str
    level: float
    estimates: dict[str, float]
    intervals: dict[str, tuple[float | None, float | None]]
    profiles: dict[str, tuple[list[float], list[float]]]
    limit: float
    contour: dict[str, list[float]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def profile_intervals(fit: Fit, parameters: Sequence[str] = (), contour: Sequence[str] = ()) -> Intervals:
    """Return the intervals of some parameters, by default of all that the data determine.

    Raises:
        UsageError: a name is no such parameter, or there is nothing that could be profiled.
    """
    profile = Profile(fit)
    known = fit.inverse.is_determined
    names = {name: k for k, name in enumerate(fit.free_names) if known[k]}
    for name in (*parameters, *contour):
        if name not in names:
            why = fit.left_out.get(name) or ("it is not determined" if name in fit.free_names else "no such parameter")
            raise UsageError(f"{name!r} has no interval: {why}; there are: {', '.join(names)}")
    result = Intervals(fit.entry.kind, fit.entry.level, {}, {}, {}, fit.quantile)
    notes = []
    for name in parameters or (() if contour else names):
        k = names[name]
        ends: list[float | None] = []
        found = [(0.0, float(profile.center[profile.places[k]]))]
        for sign in (-1.0, 1.0):
            line = profile.line([k], np.array([sign * fit.errors[k]]))
            end = line.crossing(fit.quantile)
            found += [(sign * root, float(whole[profile.places[k]])) for root, whole in line.shown(fit.quantile)]
            ends.append(None if end is None else float(end[profile.places[k]]))
            if end is None:
                notes.append(f"{name} is open {'below' if sign < 0 else 'above'}: {line.why}")
        roots, values = zip(*sorted(found, key=lambda pair: pair[1]), strict=True)
        result.estimates[name] = float(profile.center[profile.places[k]])
        result.intervals[name] = ends[0], ends[1]
        result.profiles[name] = list(values), list(roots)
    if contour:
        pair = [names[name] for name in contour]
        (one, other), both = fit.errors[pair], fit.correlation(*pair)
        root = np.array([[one, 0], [other * both, other * math.sqrt(max(1 - both**2, 0.0))]])
        ring, reasons = [], []
        for angle in np.linspace(0, 2 * math.pi, CONTOUR_POINTS, endpoint=False):
            line = profile.line(pair, root @ [math.cos(angle), math.sin(angle)])
            end = line.crossing(joint_limit(fit))
            # A region that is open ends there at what was looked at.
            ring.append((line.last if end is None else end)[profile.places[pair]])
            reasons += [line.why] if end is None else []
        if reasons:
            why = " or ".join(dict.fromkeys(reasons))
            notes.append(f"the region is open on {len(reasons)} of {CONTOUR_POINTS} ways from the fit: {why}")
        result.contour.update(zip(contour, np.array(ring).T.tolist(), strict=True))
    return replace(result, notes=tuple(notes))


def joint_limit(fit: Fit) -> float:
    """Return the root of the deviance on the border of a region of two parameters: of F's distribution, or chi².

    Both have a closed form for two degrees of freedom.
    """
    beyond, free = 1 - fit.entry.level, fit.degrees_of_freedom
    if free is None or fit.entry.absolute_sigma:
        return math.sqrt(-2 * math.log(beyond))
    return math.sqrt(free * (beyond ** (-2 / free) - 1))


class Profile:
    """A fit that is made anew with some parameters held: its deviance there.

    Attributes:
        center: all elements of the parameters, at the fit.
        places: which of them are the unknowns that are at no bound.
    """

    def __init__(self, fit: Fit) -> None:
        self.fit, self.problem = fit, fit.problem
        self.best = self.problem.objective(fit.point)[0]
        self.center = self.problem.whole
        if fit.entry.robust or fit.loss != "linear":
            raise UsageError("intervals: a profile is that of a likelihood: leave out robust, and take loss: linear")
        if fit.is_squares and not (self.best > 0 and fit.residual_sd > 0):
            raise UsageError("intervals: no residual is left, so nothing tells how far the data scatter")
        self.places = np.flatnonzero(~self.problem.held)[fit.free]
        # Of what the data leave open, one of each combination stays where it is.
        self.held = self.problem.held.copy()
        self.held[self.places[[np.flatnonzero(row)[0] for row in fit.inverse.open]]] = True

    def line(self, unknowns: Sequence[int], direction: Vector) -> Line:
        """Return the way on which some unknowns go in a direction, and the others follow."""
        whole = np.zeros_like(self.center)
        whole[self.places[unknowns]] = direction
        return Line(self, whole)

    def refit(self, held: Vector, start: Vector) -> tuple[float, Vector]:
        """Return the deviance where some elements are held, and all elements there; infinite where it is not finite."""
        problem = self.problem
        problem.hold(self.held | (held != 0))
        if not problem.place(start):
            return math.inf, start
        if problem.start.size:
            with suppress(Solved):
                if self.fit.is_squares:
                    solve_from(problem, problem.start, tolerance=EXACT)
                else:
                    lbfgs.function(problem)
        value, point = problem.best
        problem.objective(point)
        if not self.fit.is_squares:
            return 2 * (value - self.best), problem.whole
        free = self.fit.degrees_of_freedom or 0
        unit = free if not self.fit.entry.absolute_sigma else free * self.fit.residual_sd * self.fit.residual_sd
        return (value / self.best - 1) * unit, problem.whole


class Line:
    """A way from a fit, in units in which the root of the deviance is the length, were it a parabola.

    Attributes:
        points: the root of the deviance, and all elements, by the length of the way there.
        why: why there is no end.
    """

    def __init__(self, profile: Profile, direction: Vector) -> None:
        self.profile, self.direction = profile, direction
        self.points: dict[float, tuple[float, Vector]] = {0.0: (0.0, profile.center)}
        self.why = ""
        problem = profile.problem
        with np.errstate(all="ignore"):
            rooms = np.where(direction > 0, problem.bounds[1], problem.bounds[0]) - profile.center
            self.room = float(np.min((rooms / direction)[direction != 0]))

    @property
    def last(self) -> Vector:
        """All elements at the farthest point."""
        return self.points[max(self.points)][1]

    def shown(self, limit: float) -> Iterator[tuple[float, Vector]]:
        """Yield the points but for the fit itself, and the tries for the end next to that."""
        known = sorted(self.points.values(), key=lambda point: abs(point[0] - limit))
        yield from (
            point for k, point in enumerate(known) if point[0] and (not k or abs(point[0] - limit) > CLOSE * limit)
        )

    def root(self, length: float) -> float:
        """Return the root of the deviance at a length, from where the points before lead to."""
        if length not in self.points:
            # On from the fit, never back: farther out a refit may have come to another valley.
            before = sorted(k for k, (root, _) in self.points.items() if k < length and root < math.inf)
            start = aim = self.points[before[-1]][1]
            if len(before) > 1:
                share = (length - before[-1]) / (before[-1] - before[-2])
                aim = start + share * (start - self.points[before[-2]][1])
            moved = self.direction != 0
            for begin in (aim, start):
                moved_to = np.where(moved, self.profile.center + length * self.direction, begin)
                deviance, whole = self.profile.refit(self.direction, moved_to)
                if deviance < math.inf:
                    break
            if deviance < -BETTER:
                names = self.profile.fit.free_names
                better = ", ".join(
                    f"{name}: {whole[k]:.6g}" for name, k in zip(names, self.profile.places, strict=True)
                )
                raise UsageError(f"intervals: the run did not end at the best fit; begin it from {better}")
            self.points[length] = math.sqrt(max(deviance, 0.0)), whole
        return self.points[length][0]

    def crossing(self, limit: float) -> Vector | None:
        """Return all elements where the root of the deviance comes to a limit, None where it does not."""
        from scipy.optimize import brentq

        low, high = 0.0, limit / 2
        while self.root(min(high, self.room)) < limit:
            low = min(high, self.room)
            if low == self.room:
                self.why = "a bound is met before"
                return None
            high *= STRIDE
            if high > FARTHEST * limit:
                self.why = f"the profile does not rise so far within {FARTHEST} times the standard error's way"
                return None
        high = min(high, self.room)
        length = brentq(lambda at: min(self.root(at), 4 * limit) - limit, low, high, xtol=DIGITS * high, rtol=DIGITS)
        if abs(self.root(length) - limit) > JUMP * limit:
            self.why = f"the profile jumps at {self.root(length):.3g} standard errors"
            return None
        return self.points[length][1]
