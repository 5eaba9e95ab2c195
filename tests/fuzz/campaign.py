"""Tries damaged and random inputs, and tells of each that ends otherwise than with a result or a GraphrunError.

python tests/fuzz/campaign.py [--graphs N] [--data N] [--checkpoints N] [--first N] [--processes N]

Each input has its number: `--graphs 1 --first 4711` tries that one again. A worker is limited to 2 GiB of address space
and an input to 10 seconds of its time; a worker that ends is a finding too, and another goes on with the next input.
"""

from __future__ import annotations

import argparse
import faulthandler
import math
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

import data_files
import graph_files

from graphrun import GraphrunError, load
from graphrun.check.check import check_graph
from graphrun.document.dump import dump_document
from graphrun.run.request import RunRequest
from graphrun.show.explain import explain
from graphrun.show.explain.step import take_step

MEMORY = 2 << 30
SECONDS = 10
LONGEST_MESSAGE = 20_000


def try_graph(number: int) -> str:
    """Load, plan, run, dump, now and then check and explain."""
    text = graph_files.graph(number)
    Path("graph.yaml").write_bytes(text.encode("utf-8", "surrogatepass"))
    return use("graph.yaml", number)


def use(path: str, number: int) -> str:
    """Do with a graph file what commands do."""
    graph = load(path, registry=graph_files.registry())
    plan = graph.plan()
    result = graph.answer(RunRequest(steps=2, engine="numpy"))
    str(result.error)
    dump_document(graph.document)
    elements = sum(map(math.prod, plan.shapes))
    if number % 4 == 0 and elements < 2_000:
        str(check_graph(graph))
    if number % 9 == 0 and elements < 500:
        explain(take_step(graph, 0))
    return "a run that failed" if result.error is not None else "a result"


def try_data(number: int) -> str:
    """Run a graph on a data file."""
    text, name, content = data_files.data(number)
    Path("graph.yaml").write_text(text, encoding="utf-8")
    Path(name).write_bytes(content)
    return use("graph.yaml", 1)


def try_checkpoint(number: int) -> str:
    """Go on from a checkpoint."""
    text, content = data_files.checkpoint(number, whole_checkpoint)
    Path("graph.yaml").write_text(text, encoding="utf-8")
    Path("damaged.safetensors").write_bytes(content)
    result = load("graph.yaml", registry=graph_files.registry()).answer(
        RunRequest(steps=4, engine="numpy", resume="damaged.safetensors")
    )
    return "a run that failed" if result.error is not None else "a result"


CHECKPOINTS: dict[str, bytes] = {}


def whole_checkpoint(text: str) -> bytes:
    """Return the checkpoint of a graph after two steps."""
    if text not in CHECKPOINTS:
        Path("rows.csv").write_text("x\n1\n2\n3\n4\n", encoding="utf-8")
        Path("graph.yaml").write_text(text, encoding="utf-8")
        load("graph.yaml", registry=graph_files.registry()).answer(
            RunRequest(steps=2, engine="numpy", save="whole.safetensors")
        )
        CHECKPOINTS[text] = Path("whole.safetensors").read_bytes()
    return CHECKPOINTS[text]


KINDS: dict[str, Callable[[int], str]] = {"graphs": try_graph, "data": try_data, "checkpoints": try_checkpoint}


def outcome(kind: str, number: int) -> str:
    """Try one input; return how it ended, a finding in capitals."""
    try:
        return KINDS[kind](number)
    except GraphrunError as error:
        message = str(error)
        if len(message) > LONGEST_MESSAGE:
            return f"LONG: a message of {len(message):,} characters"
        if not all(c.isprintable() or c == "\n" for c in message):
            return f"CONTROL: a control character in {message[:300]!r}"
        return f"a message: {type(error).__name__}"
    except BaseException as error:
        frames = traceback.extract_tb(error.__traceback__)
        own = [f for f in frames if "graphrun" in f.filename and "fuzz" not in f.filename] or frames
        place = f"{Path(own[-1].filename).name}:{own[-1].lineno}"
        last = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}"
        return f"RAISED: {type(error).__name__} at {place} ({last}): {str(error)[:200]!r}"


def work(kind: str, first: int, count: int) -> None:
    """Try inputs one by one, each told before it begins and when it ends."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # What runs too long says where, then ends.
    faulthandler.register(signal.SIGPROF, file=sys.stderr, chain=True)
    faulthandler.enable()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        Path("data").symlink_to(graph_files.GRAPHS / "data")
        Path("layers.yaml").symlink_to(graph_files.GRAPHS / "layers.yaml")
        Path("graphs").symlink_to(graph_files.GRAPHS)
        for number in range(first, first + count):
            print("begin", number, flush=True)
            signal.setitimer(signal.ITIMER_PROF, SECONDS)
            ended = outcome(kind, number)
            signal.setitimer(signal.ITIMER_PROF, 0)
            print("end", number, ended.replace("\n", " "), flush=True)


class Tally:
    """What was found so far, by all workers."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.counts: dict[str, int] = {}
        self.findings: list[str] = []

    def add(self, kind: str, number: int, ended: str) -> None:
        """Count an outcome, and tell of a finding."""
        with self.lock:
            is_finding = ended.split(":")[0].isupper()
            key = f"{kind}: {'a finding' if is_finding else ended}"
            self.counts[key] = self.counts.get(key, 0) + 1
            if is_finding:
                self.findings.append(f"{kind} {number}: {ended}")
                print(self.findings[-1], flush=True)


def share(kind: str, first: int, stop: int, tally: Tally) -> None:
    """Let workers try a range of inputs; where one ends before its time, the next begins after that input."""
    while first < stop:
        command = [sys.executable, __file__, "--work", kind, str(first), str(min(stop - first, 2000))]
        with tempfile.TemporaryFile("w+") as errors, subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, text=True, encoding="utf-8", errors="replace"
        ) as worker:  # fmt: skip
            begun = None
            for line in worker.stdout or ():
                word, number, *ended = line.rstrip("\n").split(" ", 2)
                if word == "begin":
                    begun = int(number)
                elif word == "end":
                    tally.add(kind, int(number), ended[0])
                    begun, first = None, int(number) + 1
            status = worker.wait()
            if begun is not None:
                errors.seek(0)
                words = errors.read()
                own = [line.strip() for line in words.splitlines() if "/graphrun/" in line and "fuzz" not in line]
                where = " < ".join(own[:3]) or words[-300:]
                what = "SLOW" if status == -signal.SIGPROF else f"DIED: status {status}"
                tally.add(kind, begun, f"{what}: {where}")
                first = begun + 1
            elif status:
                errors.seek(0)
                print(errors.read())
                raise SystemExit(f"a worker ended with status {status} between two inputs")


def main() -> int:
    """Run a campaign; the exit status is 1 where something was found."""
    if sys.argv[1:2] == ["--work"]:
        work(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
        return 0
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for kind in KINDS:
        parser.add_argument(f"--{kind}", type=int, default=0, metavar="N")
    parser.add_argument("--first", type=int, default=0, metavar="N")
    parser.add_argument("--processes", type=int, default=2, metavar="N")
    asked = parser.parse_args()
    tally = Tally()
    for kind in KINDS:
        count, first = getattr(asked, kind), asked.first
        parts = max(1, min(asked.processes, count))
        bounds = [first + count * part // parts for part in range(parts + 1)]
        threads = [threading.Thread(target=share, args=(kind, *bounds[i : i + 2], tally)) for i in range(parts)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for outcome_of, count in sorted(tally.counts.items()):
        print(f"{count:8,} {outcome_of}")
    return 1 if tally.findings else 0


if __name__ == "__main__":
    sys.exit(main())
