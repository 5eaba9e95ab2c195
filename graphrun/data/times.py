"""Dates and times as numbers."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import numpy as np

from graphrun.data.table import Array

# Of what is counted since 1970, how many microseconds it has.
COUNTED = {"days": 86_400_000_000, "hours": 3_600_000_000, "minutes": 60_000_000, "seconds": 1_000_000}
YEAR = np.timedelta64(1, "Y")
NONE = np.datetime64("NaT", "us")


def moment(text: str, form: str | None) -> Any:
    """Return a time in UTC; raise ValueError where a text is none.

    It is written as ISO 8601 has it, or with slashes, the day left out or not; or in a form of `datetime.strptime`.
    """
    try:
        if form is not None:
            codes = set(re.findall("%(.)", form))
            if "d" in codes and codes.isdisjoint("yYGcxD"):
                # The year that Python takes by itself, and warns of.
                text, form = f"1900 {text}", f"%Y {form}"
            time = datetime.strptime(text, form)
        else:
            text = text.strip().replace("/", "-")
            time = datetime.fromisoformat(f"{text}-01" if len(text) == 7 and text[4] == "-" else text)
        return np.datetime64(time if time.tzinfo is None else time.astimezone(UTC).replace(tzinfo=None), "us")
    except (OverflowError, re.error) as error:
        # Beyond the years 1 to 9999 in UTC; a form that has a code twice.
        raise ValueError from error


def moments(texts: Iterable[str], form: str | None = None) -> Array:
    """Return times, of which those that are no text are none."""
    return np.array([moment(text, form) if text else NONE for text in texts], "datetime64[us]")


def is_time(text: str, form: str | None) -> bool:
    """Say whether a text is a time."""
    try:
        moment(text, form)
    except ValueError:
        return False
    return True


def in_unit(times: Array, unit: str) -> Array:
    """Return times as numbers: what is counted since 1970, the year with its fraction for "years", else a part."""
    years, months, days = (times.astype(f"datetime64[{letter}]") for letter in "YMD")
    counted: Array
    if unit in COUNTED:
        counted = times.astype(np.int64) / COUNTED[unit]
    elif unit == "years":
        counted = years.astype(np.int64) + 1970 + (times - years) / ((years + YEAR).astype(times.dtype) - years)
    elif unit == "weekday":
        counted = (days.astype(np.int64) + 3) % 7
    elif unit == "hour":
        counted = (times - days).astype(np.int64) // COUNTED["hours"]
    else:
        whole, start = {"year": (years, -1970), "month": (months - years, -1), "day": (days - months, -1)}[unit]
        counted = whole.astype(np.int64) - start
    return np.where(np.isnat(times), np.nan, counted) if np.isnat(times).any() else counted


def sortable(texts: Array) -> Array:
    """Return numbers or times by which rows are put in order; raise ValueError where a text is neither."""
    try:
        numbers = texts.astype(np.float64)
    except ValueError:
        numbers = in_unit(moments(texts), "seconds")
    if not np.isfinite(numbers).all():
        raise ValueError
    return numbers
