"""Domains of real inputs: unions of intervals, written as in a textbook: ``(0, inf)``, ``(-inf, 0) | (0, inf)``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from graphrun.base.errors import DeclarationError

_INTERVAL = re.compile(r"\s*([\[(])\s*(-?\w[\w.+-]*)\s*,\s*(-?\w[\w.+-]*)\s*([\])])\s*")


@dataclass(frozen=True)
class Interval:
    """The numbers from `low` to `high`; an end belongs to it where it is closed."""

    low: float
    high: float
    low_closed: bool
    high_closed: bool

    def __contains__(self, number: float) -> bool:
        above = self.low < number or (self.low_closed and number == self.low)
        return above and (number < self.high or (self.high_closed and number == self.high))


@dataclass(frozen=True)
class Domain:
    """A union of intervals of real numbers."""

    text: str
    intervals: tuple[Interval, ...]

    @classmethod
    def parse(cls, text: str) -> Domain:
        """Read intervals in brackets, closed ``[ ]`` or open ``( )``, joined by ``|``; ends may be ``inf``.

        Raises:
            DeclarationError: the text is no such union.
        """
        intervals = []
        for part in text.split("|"):
            match = _INTERVAL.fullmatch(part)
            try:
                if match is None:
                    raise ValueError
                interval = Interval(float(match[2]), float(match[3]), match[1] == "[", match[4] == "]")
                if not interval.low < interval.high:
                    raise ValueError
            except ValueError:
                raise DeclarationError(f"{text!r} is no domain: write intervals such as '(0, inf)'") from None
            intervals.append(interval)
        return cls(text, tuple(intervals))

    def __contains__(self, number: float) -> bool:
        return any(number in interval for interval in self.intervals)

    def __str__(self) -> str:
        return self.text
