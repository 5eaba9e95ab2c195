"""Files made to exhaust time, memory or the stack end quickly, with a message and in little memory."""

from __future__ import annotations

import subprocess
import sys

import pytest

resource = pytest.importorskip("resource", reason="limits of memory need a POSIX system")

SCRIPT = """
import resource, sys, time
resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
from graphrun.document import Source, load_document
from graphrun.base.errors import GraphFileError
text = eval(sys.argv[1])
start = time.process_time()
try:
    message = str(load_document(Source("graph.yaml", text)).problems)
except GraphFileError as error:
    message = str(error)
print(time.process_time() - start)
print(len(message))
print(message.splitlines()[0])
"""

HOSTILE = {
    "alias bomb": (
        "'a0: &a0 [x, x]\\n' + ''.join(f'a{i}: &a{i} [' + f'*a{i - 1}, ' * 10 + ']\\n' for i in range(1, 99))",
        "graph.yaml:7:20: aliases multiply this file to more than 1,000,000 values",
    ),
    "merge bomb": (
        (
            "'a: &a {' + ''.join(f'k{i}: 1, ' for i in range(1000)) + '}\\n'"
            " + ''.join(f'b{i}: {{<<: *a}}\\n' for i in range(100000))"
        ),
        "graph.yaml:1001:12: aliases multiply this file to more than 1,000,000 values",
    ),
    "chain of aliases": (
        "'a0: &a0 [x]\\n' + ''.join(f'a{i}: &a{i} [*a{i - 1}]\\n' for i in range(1, 3000))",
        "graph.yaml:64:12: with this alias, lists and mappings are nested deeper than 64 levels",
    ),
    "flow lists": ("'a: ' + '[' * 50000", "graph.yaml:1:67: lists and mappings are nested deeper than 64 levels"),
    "flow mappings": ("'{a: ' * 50000", "graph.yaml:1:257: lists and mappings are nested deeper than 64 levels"),
    "block lists": ("'- ' * 50000", "graph.yaml:1:129: lists and mappings are nested deeper than 64 levels"),
    "block mappings": (
        "''.join(' ' * i + 'a:\\n' for i in range(3000))",
        "graph.yaml:65:65: lists and mappings are nested deeper than 64 levels",
    ),
    "complex keys": ("'? ' * 50000", "graph.yaml:1:3: a key is a plain name, not a list or a mapping"),
    "long scalar": (
        "'x' * 20_000_000",
        "graph.yaml:1:1: a graph file is a mapping of sections, not the text '" + "x" * 59 + "…'",
    ),
    "long value": (
        "'steps: ' + 'x ' * 10_000_000",
        "graph.yaml:1:8: 'steps' takes a whole number, 0 or more, not the text '" + ("x " * 30)[:59] + "…'",
    ),
    "long integer": (
        "'a: ' + '1' * 20_000_000",
        "graph.yaml:1:4: an integer of 20,000,000 characters is too long (1,000 are the limit)",
    ),
    "tag directives": (
        "''.join(f'%TAG !a{i}! x\\n' for i in range(300000)) + '--- {}'",
        "graph.yaml:1:1: the file has more than 100 %TAG directives",
    ),
    "code": (
        "'a: !!python/object/apply:os.system [echo run]'",
        (
            "graph.yaml:1:4: the tag '!!python/object/apply:os.system' is not supported: "
            "a graph file holds plain data and names no code"
        ),
    ),
    "many problems": ("'a: 1\\n' * 100000", "graph.yaml:1:1: unknown key 'a'"),
}


QUICK = {"alias bomb", "flow lists", "code"}
"""Some of each kind; a process for each file takes a second."""


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.campaign] * (name not in QUICK)) for name in HOSTILE]
)
def test_hostile_files_end_quickly(name: str) -> None:
    """Within 2 GiB and 5 seconds, with a short message, and nothing is run."""
    make, expected = HOSTILE[name]
    command = [sys.executable, "-c", SCRIPT, make]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=60, check=False)
    assert done.stderr == ""
    assert done.returncode == 0
    seconds, length, message = done.stdout.splitlines()
    assert message == expected
    assert float(seconds) < 5
    assert int(length) < 10_000
