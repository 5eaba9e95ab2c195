"""Who may ask the server what, the port, Ctrl-C: the application itself, and processes."""

from __future__ import annotations

import json
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import anyio
import httpx2 as httpx
import pytest
from lesson import NESTED

import graphrun
from graphrun.cli.entry import run_command
from graphrun.run.request import RunRequest
from graphrun.show.watch.server import FIRST_PORT, Site, listen
from graphrun.show.watch.session import Session

TOKEN = "t0ken"  # noqa: S105 (a test's)
HERE = "http://127.0.0.1:8420"


class Client:
    """Asks a server that is not one: the application itself."""

    def __init__(self, app: Any) -> None:
        self.app = app

    def request(self, method: str, path: str, headers: Mapping[str, str] | None = None) -> httpx.Response:
        """Return the answer to a request."""

        async def ask() -> httpx.Response:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url=HERE) as client:
                return await client.request(method, path, headers=headers)

        return anyio.run(ask)

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> httpx.Response:
        """Return what is there."""
        return self.request("GET", path, headers)


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Client:
    """Return a client of a server of the lesson."""
    monkeypatch.chdir(tmp_path)
    Path("g.yaml").write_text(NESTED)
    session = Session(lambda: graphrun.load("g.yaml"), RunRequest(steps=2))
    session.begin()
    assert session.settled.wait(120)
    return Client(Site(session, TOKEN, "g.yaml").app)


def test_the_page_is_served_to_who_has_the_token(client: Client) -> None:
    """It may load nothing, run nothing but its own scripts, and ask this server alone."""
    answer = client.get(f"/{TOKEN}/")
    assert answer.status_code == 200
    [policy] = [part.split('"')[0] for part in answer.text.split('http-equiv="Content-Security-Policy" content="')[1:]]
    parts = dict(part.split(" ", 1) for part in policy.split("; "))
    assert parts["connect-src"] == "'self'"
    assert parts["default-src"] == parts["base-uri"] == parts["form-action"] == "'none'"
    assert all(word.startswith("'sha256-") for word in (parts["script-src"] + " " + parts["style-src"]).split())
    assert set(parts) == {"connect-src", "default-src", "base-uri", "form-action", "script-src", "style-src"}
    assert answer.headers["content-security-policy"] == "frame-ancestors 'none'"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert not [name for name in answer.headers if name.startswith("access-control")]
    report = graphrun.load("g.yaml").report(steps=2)
    assert "connect-src" not in report
    assert "EventSource" not in report


@pytest.mark.parametrize(
    "path",
    [
        "/", "/wrong/", "/wrong/events", f"/{TOKEN}", f"/{TOKEN}x/", f"/{TOKEN[:-1]}/", f"/{TOKEN}/g.yaml",
        f"/{TOKEN}/../g.yaml", f"/{TOKEN}/..%2fg.yaml", f"/{TOKEN}/%2e%2e/g.yaml", "/g.yaml", "/../../etc/passwd",
        "/%2e%2e%2f%2e%2e%2fetc%2fpasswd", f"/{TOKEN}//", f"/{TOKEN}/events/", "/%00/", "/%ff/", "/tökén/", "/docs",
    ],
)  # fmt: skip
def test_nothing_else_is_served(path: str, client: Client) -> None:
    """No file, no listing, nothing without the token, and no way up."""
    answer = client.get(path)
    assert answer.status_code == 404
    assert "parameters" not in answer.text


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_nothing_can_be_sent(method: str, client: Client) -> None:
    """The server is to be read alone, and allows no other origin to ask."""
    answer = client.request(method, f"/{TOKEN}/", headers={"Access-Control-Request-Method": "GET"})
    assert answer.status_code == 405
    assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize("part", ["", "events"])
@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8420", "127.0.0.1.evil.example", "localhost.evil.example:8420", "127.1", ""],
)
def test_a_foreign_host_is_refused(host: str, part: str, client: Client) -> None:
    """A name that somebody lets lead to this machine has the token's page no more than another."""
    assert client.get(f"/{TOKEN}/{part}", headers={"Host": host}).status_code == 400


@pytest.mark.parametrize("part", ["", "events"])
@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", "https://127.0.0.1:8420", "http://127.0.0.1:8421", "http://localhost:8420", ""],
)
def test_a_foreign_origin_is_refused(origin: str, part: str, client: Client) -> None:
    """Also one of this machine, at another port."""
    assert client.get(f"/{TOKEN}/{part}", headers={"Origin": origin}).status_code == 403


def test_its_own_origin_is_let_in(client: Client) -> None:
    """By either name of the loopback."""
    assert client.get(f"/{TOKEN}/", headers={"Origin": HERE}).status_code == 200
    named = {"Host": "localhost:8420", "Origin": "http://localhost:8420"}
    assert client.get(f"/{TOKEN}/", headers=named).status_code == 200


def news_of(lines: Iterator[str]) -> dict[str, Any]:
    """Return the next event of a stream."""
    while not (line := next(lines)).startswith("data: "):
        pass
    found: dict[str, Any] = json.loads(line[6:])
    return found


@pytest.mark.slow
@pytest.mark.parametrize("within", [60, pytest.param(0.3, marks=pytest.mark.nightly)])
def test_two_pages_are_told_and_ctrl_c_ends_it(
    within: float, watch: Callable[..., Any], save: Callable[..., None]
) -> None:
    """The least of some edits, and only where no other tests wait for the processor; the status is that of commands."""
    save(NESTED)
    watched = watch("g.yaml")
    took = []
    with (
        httpx.stream("GET", f"{watched.address}events", timeout=120) as one,
        httpx.stream("GET", f"{watched.address}events", timeout=120) as other,
    ):
        pages = one.iter_lines(), other.iter_lines()
        assert all(news_of(lines)["isOther"] for lines in pages)
        for number in range(6, 13):
            start = time.perf_counter()
            save(NESTED.replace("a: 5", f"a: {number}"))
            for lines in pages:
                assert news_of(lines)["isOther"]
            took.append(time.perf_counter() - start)
            assert f"a: {number}" in httpx.get(watched.address).text
        save("nodes: {f: g}")
        assert all(news_of(lines)["problem"].startswith("g.yaml:1:12: ") for lines in pages)
        status, said = watched.end()
    assert (status, said) == (130, "watching g.yaml; Ctrl-C ends it\n")
    assert min(took) < within


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_run_that_is_long(number: int, watch: Callable[..., Any], save: Callable[..., None]) -> None:
    """At once, with an open page and a run that is under way."""
    save(NESTED)
    watched = watch("g.yaml", "--steps", "1e12", "--engine", "numpy", "-q", "--set", "update.step_size=1e-12")
    with httpx.stream("GET", f"{watched.address}events", timeout=120):
        start = time.monotonic()
        assert watched.end(number) == (130, "")
    assert time.monotonic() - start < 60


def test_a_port_that_is_taken_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The one that was asked for; where none was, the next one is taken. All of them are of the loopback."""
    monkeypatch.chdir(tmp_path)
    Path("g.yaml").write_text(NESTED)
    with listen() as first, listen() as second:
        places = [listener.getsockname() for listener in (first, second)]
        assert places[0] != places[1]
        assert all(host == "127.0.0.1" and port >= FIRST_PORT for host, port in places)
        assert run_command(["watch", "g.yaml", "--no-browser", "--port", str(places[0][1])]) == 2
        said = capsys.readouterr()
        assert said.out == ""
        assert f"--port {places[0][1]}: it cannot be used: Address already in use" in said.err
        for listener in (first, second):
            assert listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.yaml"], "none.yaml"),
        (["-"], "watch takes a file"),
        (["."], "is a folder"),
        (["g.yaml", "--set", "parameters.q=1"], "q"),
        (["g.yaml", "--record", "q"], "the name 'q' is unknown"),
        (["g.yaml", "--plugins", "none"], "there is no such folder"),
        (["library.yaml"], "is a library of the subgraphs"),
        (["g.yaml", "--port", "70000"], "70000"),
    ],
)
def test_what_no_edit_would_mend_ends_it(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A file that is not there, options that make no sense: status 2, as of every command."""
    monkeypatch.chdir(tmp_path)
    Path("g.yaml").write_text(NESTED)
    Path("library.yaml").write_text("subgraphs:\n  halve: {inputs: [x], nodes: {y: x / 2}, output: y}\n")
    assert run_command(["watch", *arguments, "--no-browser"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert message in said.err


@pytest.mark.parametrize("name", ["starlette", "uvicorn", "watchfiles"])
def test_without_the_extra(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A missing library is an error that says what to install."""
    monkeypatch.chdir(tmp_path)
    Path("g.yaml").write_text(NESTED)
    monkeypatch.delitem(sys.modules, "graphrun.show.watch.server")
    for module in [module for module in sys.modules if module.split(".")[0] == name]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, name, None)
    assert run_command(["watch", "g.yaml", "--no-browser"]) == 2
    assert "pip install 'graphrun[live]'" in capsys.readouterr().err
