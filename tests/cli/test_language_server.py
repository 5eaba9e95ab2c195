"""What an editor shows in a graph file: yaml-language-server, which VS Code and others run, is asked over its protocol.

It is installed with npm, at the version of tests/cli/lsp/package-lock.json, into pytest's cache folder.
"""

from __future__ import annotations

import json
import queue
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from graphrun.cli.entry import run_command
from graphrun.solvers import SOLVERS
from graphrun.updates import graphrun_update_rules

pytestmark = pytest.mark.campaign

PACKAGE = Path(__file__).parent / "lsp"
SERVER = Path("node_modules/yaml-language-server/bin/yaml-language-server")
SETTINGS = {"validate": True, "hover": True, "completion": True, "schemaStore": {"enable": False}}
CAPABILITIES = {
    "textDocument": {
        "hover": {"contentFormat": ["markdown"]},
        "completion": {"completionItem": {"snippetSupport": True}},
    },
    "workspace": {"configuration": True},
}
# Far beyond what any answer takes: a server that hangs is told from one that is slow.
PATIENCE = 60

LEAKY_RELU = "leaky_relu(x, slope=0.01)\n\nRectified linear unit that leaks: x where x > 0, else slope x."
NODE = "parameters: {a: 1}\nnodes:\n  d: "

ADAM = ["step_size", "beta1", "beta2", "epsilon", "weight_decay", "clip_norm", "clip_value", "accumulate"]
RULES = [*(rule.name for rule in graphrun_update_rules()), *SOLVERS]


def quoted(name: str) -> str:
    """Return a name as the server quotes it."""
    return f'"{name}"'


class Client:
    """An editor's side of the language server protocol, as far as it is needed here."""

    def __init__(self, server: Path, folder: Path) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            ["node", str(server), "--stdio"],  # noqa: S607 (the node that is on the path)
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.input = self.process.stdin
        self.messages: queue.Queue[dict[str, Any]] = queue.Queue()
        self.sent = 0
        self.reader = threading.Thread(target=self.read, args=(self.process.stdout,), daemon=True)
        self.reader.start()
        self.request("initialize", processId=None, rootUri=folder.as_uri(), capabilities=CAPABILITIES)
        self.send(method="initialized", params={})

    def read(self, stream: IO[bytes]) -> None:
        """Put what the server says into the queue; what it asks for is always its settings."""
        while header := stream.readline():
            length = 0
            while header.strip():
                key, _, value = header.partition(b":")
                length = int(value) if key.lower() == b"content-length" else length
                header = stream.readline()
            message = json.loads(stream.read(length))
            if "id" in message and "method" in message:
                asked = message["params"].get("items", []) if message["method"] == "workspace/configuration" else []
                self.send(id=message["id"], result=[SETTINGS if item["section"] == "yaml" else {} for item in asked])
            else:
                self.messages.put(message)

    def send(self, **message: Any) -> None:
        """Send one message."""
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self.input.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        self.input.flush()

    def request(self, method: str, **params: Any) -> Any:
        """Ask, and return the answer."""
        self.sent += 1
        self.send(id=self.sent, method=method, params=params)
        return self.wait(lambda message: message.get("id") == self.sent)["result"]

    def wait(self, wanted: Any) -> dict[str, Any]:
        """Return the next message of a kind."""
        while not wanted(message := self.messages.get(timeout=PATIENCE)):
            pass
        return message

    def open(self, text: str) -> tuple[str, list[dict[str, Any]]]:
        """Open a graph file with that text, and return its address and what is wrong with it, in the file's order."""
        self.sent += 1
        file = self.folder / f"graph{self.sent}.yaml"
        file.write_text(text, encoding="utf-8")
        assert run_command(["schema", "--init", str(file)]) == 0
        text, uri = file.read_text(encoding="utf-8"), file.as_uri()
        document = {"uri": uri, "languageId": "yaml", "version": 1, "text": text}
        self.send(method="textDocument/didOpen", params={"textDocument": document})
        published = self.wait(lambda message: message.get("params", {}).get("uri") == uri)
        problems: list[dict[str, Any]] = published["params"]["diagnostics"]
        return uri, sorted(problems, key=lambda found: [found["range"]["start"][key] for key in ("line", "character")])

    def ask(self, method: str, text: str) -> Any:
        """Ask about the place in a text where ``|`` stands."""
        before, after = text.split("|")
        uri, _ = self.open(before + after)
        position = {"line": before.count("\n") + 1, "character": len(before) - before.rfind("\n") - 1}
        return self.request(f"textDocument/{method}", textDocument={"uri": uri}, position=position)

    def completions(self, text: str) -> dict[str, Any]:
        """Return what is offered where ``|`` stands: label → item."""
        return {item["label"]: item for item in self.ask("completion", text)["items"]}

    def hover(self, text: str) -> str:
        """Return what is shown under the pointer at ``|``, without Markdown's escapes."""
        shown: str = self.ask("hover", text)["contents"]["value"]
        return shown.replace("\\", "").partition("\n\nSource: ")[0]

    def diagnostics(self, text: str) -> list[tuple[int, str, str]]:
        """Return line (from 1), the text that is underlined, and the message of each problem."""
        lines = text.splitlines()
        found = []
        for problem in self.open(text)[1]:
            start, end = problem["range"]["start"], problem["range"]["end"]
            underlined = lines[start["line"] - 1][start["character"] : end["character"]]
            found.append((start["line"], underlined, problem["message"]))
        return found

    def close(self) -> None:
        """End the server."""
        self.request("shutdown")
        self.send(method="exit")
        self.process.wait(timeout=PATIENCE)
        self.reader.join(timeout=PATIENCE)
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            stream.close()


@pytest.fixture(scope="module")
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the installed server; it is installed once and stays in pytest's cache folder."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("node and npm, with which yaml-language-server is installed and run, are not on the path")
    lock = (PACKAGE / "package-lock.json").read_bytes()
    cache = getattr(request.config, "cache", None)
    folder = tmp_path_factory.mktemp("lsp") if cache is None else cache.mkdir("yaml-language-server")
    if not (folder / SERVER).exists() or (folder / "package-lock.json").read_bytes() != lock:
        shutil.copy(PACKAGE / "package.json", folder)
        shutil.copy(PACKAGE / "package-lock.json", folder)
        subprocess.run([npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=folder, check=True, timeout=300)
    return folder / SERVER


@pytest.fixture(scope="module")
def client(server: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """Return an editor with an empty folder open, outside of this project and its plugins."""
    folder = tmp_path_factory.mktemp("editor")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        client = Client(server, folder)
        yield client
        client.close()


def test_right_file_has_no_diagnostics(client: Client) -> None:
    """Merge keys, other letters, exponents, infinities and nulls are read as graphrun reads them."""
    text = """\
parameters: {θ: 0.5, x: {value: 1e0, upper: .inf}, W: {shape: [2], init: {type: normal}}}
constants:
nodes:
  first: &leaky {type: leaky_relu, inputs: [θ], slope: 0.2}
  second: {<<: *leaky, inputs: [first]}
  third: sum(W * second) + 1
minimize: third
steps: 1e3
"""
    assert client.diagnostics(text) == []


def test_misspelt_type(client: Client) -> None:
    """The message lists the types, and the type is underlined."""
    [(line, underlined, message)] = client.diagnostics(f"{NODE}{{type: rellu, inputs: [a]}}\n")
    assert (line, underlined) == (3, "rellu")
    assert message.startswith('Value is not accepted. Valid values: "add", "subtract", ')
    assert '"relu"' in message


def test_mistakes_have_their_places(client: Client) -> None:
    """Each mistake has one message, at the key or the value that is wrong."""
    text = """\
nodes:
  a: {type: leaky_relu, inputs: [1], slop: 1}
  b: {type: leaky_relu, inputs: [1, 2], slope: x}
  c: {type: reshape, inputs: [1]}
  d: 3
update: {type: sdg}
maximize: a
minimize: b
"""
    assert client.diagnostics(text) == [
        (2, "slop", "Property slop is not allowed."),
        (3, "[1, 2]", "Array has too many items. Expected 1 or fewer."),
        (3, "x", 'Incorrect type. Expected "number".'),
        (4, "c", 'Missing property "shape".'),
        (5, "3", "Incorrect type. Expected one of object, string."),
        (6, "sdg", f"Value is not accepted. Valid values: {', '.join(map(quoted, RULES))}."),
        (8, "minimize", "A graph has one objective: keep either 'maximize' or 'minimize'."),
    ]


def test_subgraphs_are_types_too(client: Client) -> None:
    """Where a file defines subgraphs, a type may be another name; the settings of known types are still checked."""
    text = """\
subgraphs: {half: {inputs: [x], settings: {by: 2}, nodes: {y: {type: elu, inputs: [x], alpha: $by}}, output: y}}
nodes:
  a: {type: half, inputs: [1], by: 3, repeat: 2}
  b: {type: elu, inputs: [1], alfa: 1}
"""
    assert client.diagnostics(text) == [(4, "alfa", "Property alfa is not allowed.")]


@pytest.mark.parametrize("before", ["", "subgraphs: {}\n"])
@pytest.mark.parametrize(
    "node", ["{type: |}", "{type: leak|, inputs: [a]}", "\n    type: |", "{type: exp|, inputs: [a]}"]
)
def test_types_are_offered(node: str, before: str, client: Client) -> None:
    """Every type is offered, with its signature and its description, while a word is begun or stands there."""
    offered = client.completions(f"{before}{NODE}{node}\n")
    assert {"add", "leaky_relu", "exp", "expm1", "reshape"} <= offered.keys()
    assert offered["leaky_relu"]["documentation"] == LEAKY_RELU


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        (f"{NODE}\n    type: leaky_relu\n    inputs: [a]\n    |\n", ["slope"]),
        (
            f"subgraphs: {{}}\n{NODE}\n    type: dense\n    inputs: [a]\n    |\n",
            ["repeat", "share", "frozen", "step_size", "weight_decay", "over", "collect"],
        ),
        (f"{NODE}\n    type: log\n    inputs: [a]\n    |\n", []),
        ("update:\n  type: adam\n  |\n", ADAM),
        ("update:\n  type: |\n", RULES),
        (
            "subgraphs:\n  s:\n    parameters:\n      a:\n        init:\n          type: identity\n          |\n",
            ["gain"],
        ),
        ("stop:\n  |\n", ["gradient_norm", "change", "value", "patience", "holdout"]),
    ],
)
def test_settings_are_offered(text: str, labels: list[str], client: Client) -> None:
    """The settings of the type that stands there are offered, and nothing else."""
    assert list(client.completions(text)) == labels


def test_default_is_filled_in(client: Client) -> None:
    """A setting comes with its default, ready to be typed over."""
    item = client.completions(f"{NODE}\n    type: leaky_relu\n    |\n")["slope"]
    assert item["insertText"] == "slope: ${1:0.01}"


def test_keys_are_offered(client: Client) -> None:
    """In an empty file, the sections are offered, each once."""
    labels = [item["label"] for item in client.ask("completion", "|\n")["items"]]
    assert {"parameters", "nodes", "maximize", "update", "subgraphs"} <= set(labels)
    assert len(labels) == len(set(labels))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            f"{NODE}{{type: leaky_|relu, inputs: [a], slope: 1}}\n",
            f"#### graphrun\n\n{LEAKY_RELU}",
        ),
        (f"{NODE}{{type: elu, inputs: [a], al|pha: 1}}\n", "#### alpha: number, default 1.0\n\nA setting of elu."),
        (
            f"{NODE}{{type: add, inp|uts: [a, a]}}\n",
            "#### graphrun\n\nThe inputs of add, x, y: names of values, and numbers.",
        ),
        (
            "update: {type: sg|d}\n",
            "#### graphrun\n\nsgd(step_size=0.01, weight_decay=0.0)\n\nGradient descent: value - step_size * gradient.",
        ),
        ("stop: {pati|ence: 3}\n", "#### graphrun\n\nStop after so many steps without a better objective."),
    ],
)
def test_hover_describes(text: str, shown: str, client: Client) -> None:
    """Under the pointer are signature and description of a type, and what a key is for."""
    assert client.hover(text) == shown
