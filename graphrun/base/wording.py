"""Words for messages: quoted texts, descriptions of values, the nearest right name."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

LONGEST_QUOTE = 60
LONGEST_LINE = 600
MOST_LINES = 150
LONGEST_PATH = 12

# What a slip costs: a letter too many, too few or changed with its neighbour is a likelier one than another letter.
SLIP, OTHER_LETTER = 2, 3
MOST_SUGGESTED = 3

# Above this number, only names that look alike from outside are compared: comparing takes about 10 microseconds a name.
MOST_COMPARED = 2000


UNSEEN = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))
"""Unicode's categories of what may steer a terminal: "Cf" has the bidirectional controls, "Cs" halves of characters."""


def printable(text: str) -> str:
    """Return a text on one line with nothing in it that could steer a terminal: such characters stand as escapes."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_shown, text))


def printable_lines(text: str) -> str:
    """Return a text of several lines as `printable` gives each of them."""
    return "\n".join(map(printable, text.split("\n")))


def _shown(character: str) -> str:
    if character == "\t":
        return " "
    if unicodedata.category(character) in UNSEEN:
        return character.encode("unicode_escape").decode("ascii")
    return character


def counted(number: int, one: str, many: str = "") -> str:
    """Return a number of things: "1 node", "1,200 nodes", "2 batches"."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def quote(text: str) -> str:
    """Return a text in single quotes, cut when it is long, with nothing in it that could steer a terminal."""
    return repr(text if len(text) <= LONGEST_QUOTE else text[: LONGEST_QUOTE - 1] + "…")


def fitting(text: str) -> str:
    """Return a message that a screen or two hold: names in it may be as long as a file, and lines as many."""
    lines = text.split("\n")
    if len(lines) > MOST_LINES:
        half = MOST_LINES // 2
        lines = [*lines[:half], f"… ({len(lines) - 2 * half:,} more lines)", *lines[-half:]]
    return "\n".join(line if len(line) <= LONGEST_LINE else _cut(line) for line in lines)


def _cut(line: str) -> str:
    """Return a line without its middle: it begins with the place, and ends with what is wrong."""
    half = LONGEST_LINE // 2
    return f"{line[:half]}… ({len(line) - 2 * half:,} more characters) …{line[-half:]}"


def listed(names: Sequence[str]) -> str:
    """Return names in quotes, without the end of many."""
    more = len(names) - LONGEST_PATH
    return ", ".join(map(quote, names[:LONGEST_PATH])) + (f" and {more:,} more" if more > 0 else "")


def describe(value: Any) -> str:
    """Say what a value of the file is: "the text 'x'", "the number 5", "a list"."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        digits = str(value)
        return f"the number {digits if len(digits) <= LONGEST_QUOTE else digits[: LONGEST_QUOTE - 1] + '…'}"
    if isinstance(value, str):
        return f"the text {quote(value)}"
    return "a mapping" if isinstance(value, dict) else "a list"


def nearest(word: str, candidates: Iterable[str]) -> str | None:
    """Return the candidate most like the word, or None when none is near; letter case counts less than letters."""
    found = all_nearest(word, candidates)
    return found[0] if found else None


def all_nearest(word: str, candidates: Iterable[str]) -> list[str]:
    """Return the candidates that are the fewest slips away from a word, in their own order; none when none is near."""
    # Imported here because it is needed only when something is already wrong.
    import heapq
    import operator

    folded: dict[str, str] = {}
    for candidate in candidates:
        folded.setdefault(candidate.casefold()[:LONGEST_QUOTE], candidate)
    key = word.casefold()[:LONGEST_QUOTE]
    if key in folded:
        return [folded[key]]
    names = list(folded)
    if len(names) > MOST_COMPARED:
        alike = [n for n in names if abs(len(n) - len(key)) < 3 and (n[:1] == key[:1] or n[-1:] == key[-1:])]
        # Most misspellings leave the beginning alone.
        names = heapq.nsmallest(MOST_COMPARED, alike, key=lambda n: -sum(map(operator.eq, n, key)))
    found: list[str] = []
    least = SLIP * LONGEST_QUOTE
    for name in names:
        # At two slips in three letters it is another word: "huber" is not "where".
        longest = max(len(name), len(key))
        most = min(least, 1 + SLIP * longest // 3) if longest > 2 else 0
        if SLIP * abs(len(name) - len(key)) <= most and (cost := _cost(name, key)) <= most:
            found = [*found, name] if cost == least else [name]
            least = cost
    return [folded[name] for name in found]


def _cost(left: str, right: str) -> int:
    """Return the least cost of slips that make one word the other: Damerau's distance (optimal string alignment)."""
    before: list[int] = []
    last = [SLIP * j for j in range(len(right) + 1)]
    for i, letter in enumerate(left):
        row = [SLIP * (i + 1)]
        for j, other in enumerate(right):
            least = last[j] if letter == other else min(last[j] + OTHER_LETTER, last[j + 1] + SLIP, row[j] + SLIP)
            if i and j and letter == right[j - 1] and left[i - 1] == other:
                least = min(least, before[j - 1] + SLIP)
            row.append(least)
        before, last = last, row
    return last[-1]


def did_you_mean(word: str, candidates: Iterable[str]) -> str | None:
    """Return "did you mean 'name'?" for the candidates most like the word, or None when none is near."""
    names = [quote(name) for name in all_nearest(word, candidates)[:MOST_SUGGESTED]]
    return f"did you mean {' or '.join(filter(None, [', '.join(names[:-1]), names[-1]]))}?" if names else None


def arrows(names: Sequence[str]) -> str:
    """Return a path through a graph, ``x → y → z``, without the middle of a long one."""
    if len(names) > LONGEST_PATH:
        half, more = LONGEST_PATH // 2, len(names) - LONGEST_PATH
        names = [*names[:half], f"({more} more)", *names[-half:]]
    return " → ".join(names)
