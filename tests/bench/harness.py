"""What the benchmarks share: processes that are timed, the shortest of many, and a table."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
BEGIN, END = "<!-- measured by tests/bench/{}.py -->\n", "<!-- end of what is measured -->\n"


def environment() -> dict[str, str]:
    """Return the environment variables of a user: compiled files are written, the checkout is not on the path."""
    left_out = {"PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "PYTHONHOME"}
    return {name: value for name, value in os.environ.items() if name not in left_out}


def run(command: Sequence[str | Path], folder: Path | None = None) -> str:
    """Run a command and return its stdout; what it says on stderr is the error where it fails."""
    result = subprocess.run(
        [str(word) for word in command], cwd=folder, env=environment(), capture_output=True, text=True, check=False
    )
    if result.returncode:
        raise SystemExit(f"{command} failed:\n{result.stdout}{result.stderr}")
    return result.stdout


@contextmanager
def installed_wheel() -> Iterator[Path]:
    """Install a wheel of the checkout into a new environment, compiled; yield the folder of its programs."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        run([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", place, ROOT])
        run([sys.executable, "-m", "venv", place / "environment"])
        scripts = place / "environment" / "bin"
        run([scripts / "python", "-m", "pip", "install", "-q", "--compile", *place.glob("*.whl")])
        yield scripts


def shortest(
    commands: dict[str, Sequence[str | Path]], repeats: int, folder: Path
) -> tuple[dict[str, float], dict[str, float]]:
    """Time processes in turn, so that what slows the machine slows all of them.

    Returns the shortest time of each by the clock and on processors; other work on the machine hardly moves the second,
    but threads that wait for work do.
    """
    clock, processor = (dict.fromkeys(commands, float("inf")) for _ in range(2))
    for _ in range(repeats):
        for name, command in commands.items():
            start, used = time.perf_counter(), processor_time()
            run(command, folder)
            clock[name] = min(clock[name], time.perf_counter() - start)
            processor[name] = min(processor[name], processor_time() - used)
    return clock, processor


def processor_time() -> float:
    """Return the seconds that the processes which have ended took on processors."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def shortest_call(functions: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Time functions in turn and return the shortest of each."""
    best = dict.fromkeys(functions, float("inf"))
    for _ in range(repeats):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            best[name] = min(best[name], time.perf_counter() - start)
    return best


def table(rows: Sequence[Sequence[object]]) -> None:
    """Print rows in columns, the first to the left."""
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        padded = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
        print("  ".join([row[0].ljust(widths[0]), *padded[1:]]).rstrip())


class Row(NamedTuple):
    """Two that were timed side by side: the medians of their seconds, and the median of the rounds' ratios."""

    case: str
    ours: str
    seconds: float
    theirs: str
    other_seconds: float
    ratio: float
    target: float | None

    @classmethod
    def of(
        cls, case: str, ours: str, times: Sequence[float], theirs: str, other: Sequence[float], target: float | None
    ) -> Row:
        """Return the row of the seconds of rounds in which both were timed in turn."""
        ratio = statistics.median(a / b for a, b in zip(times, other, strict=True))
        return cls(case, ours, statistics.median(times), theirs, statistics.median(other), ratio, target)

    @property
    def met(self) -> bool:
        """Whether the ratio is no larger than its target; without one it is."""
        return self.target is None or self.ratio <= self.target


def markdown(rows: Iterable[Row]) -> Iterator[str]:
    """Yield a table of rows, line by line as they are measured."""
    yield "| case | engine | a step | beside | a step | ratio | target |"
    yield "| --- | --- | ---: | --- | ---: | ---: | ---: |"
    for row in rows:
        target = "" if row.target is None else f"{row.target:g}"
        ratio = f"{row.ratio:.2f}" if row.ratio >= 0.095 else f"{row.ratio:.1g}"
        ours, theirs = duration(row.seconds), duration(row.other_seconds)
        yield f"| {row.case} | {row.ours} | {ours} | {row.theirs} | {theirs} | {ratio} | {target} |"


def duration(seconds: float) -> str:
    """Return a time with three digits and its unit."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6), ("ns", 1e-9)):
        if seconds >= size or unit == "ns":
            return f"{float(f'{seconds / size:.3g}'):g} {unit}"
    raise AssertionError


def write_between(page: str, script: str, lines: Iterable[str]) -> None:
    """Put lines between the two marks of what a script measures on a page."""
    file, begin = ROOT / page, BEGIN.format(script)
    text = file.read_text(encoding="utf-8")
    before, _, rest = text.partition(begin)
    _, mark, after = rest.partition(END)
    if not mark:
        raise SystemExit(f"{page} lacks the marks {begin}{END}")
    measured = "".join(f"{line}\n" for line in lines)
    file.write_text(f"{before}{begin}{measured}{END}{after}", encoding="utf-8")
