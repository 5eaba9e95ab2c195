"""The server of a watched graph: one page and its news, on the loopback, for who has the token."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING

from graphrun.base.errors import UsageError

try:
    import anyio
    import uvicorn
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.middleware import Middleware
    from starlette.middleware.trustedhost import TrustedHostMiddleware
    from starlette.requests import Request
    from starlette.responses import HTMLResponse, Response, StreamingResponse
    from starlette.routing import Route
    from watchfiles import awatch
except ImportError:
    raise UsageError("watch needs Starlette, Uvicorn and watchfiles: pip install 'graphrun[live]'") from None

if TYPE_CHECKING:
    from graphrun.show.watch.session import Session

HOST = "127.0.0.1"
FIRST_PORT, TRIED_PORTS = 8420, 50

HEADERS = {
    # No other page may show this one, read it, learn its address or keep it.
    "Content-Security-Policy": "frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}

GATHERED, LOOKED_AT = 60, 500
"""For how many milliseconds changes are gathered; and how often files are looked at anyway: some disks tell of none."""


class Site:
    """The page, and what its scripts are told of.

    Attributes:
        app: what a server runs.
    """

    def __init__(self, session: Session, token: str, title: str) -> None:
        self._session, self._token, self._title = session, token, title
        self._news: set[asyncio.Event] = set()
        self._stop = anyio.Event()
        routes = [
            Route("/{token}/", self._page, methods=["GET"]),
            Route("/{token}/events", self._events, methods=["GET"]),
        ]
        # A name that leads here from elsewhere (DNS rebinding) is refused.
        hosts = Middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"], www_redirect=False)
        self.app = Starlette(routes=routes, middleware=[hosts], lifespan=self._watching)
        self.app.router.redirect_slashes = False

    def close(self) -> None:
        """Let what is open end."""
        self._stop.set()
        self._session.end()
        self._wake()

    def _check(self, request: Request) -> None:
        """Refuse who does not know the token, and pages of other origins."""
        if not secrets.compare_digest(request.path_params["token"].encode(), self._token.encode()):
            raise HTTPException(404)
        if request.headers.get("origin", own := f"http://{request.headers['host']}") != own:
            raise HTTPException(403, "this is for its own page alone")

    async def _page(self, request: Request) -> Response:
        self._check(request)
        html = await asyncio.to_thread(self._session.state.html, self._title)
        return HTMLResponse(html, headers=HEADERS)

    async def _events(self, request: Request) -> Response:
        self._check(request)
        seen = request.headers.get("last-event-id") or request.query_params.get("seen", "")
        return StreamingResponse(self._stream(seen), media_type="text/event-stream", headers=HEADERS)

    async def _stream(self, seen: str) -> AsyncIterator[str]:
        """Yield each new state; a page that is slow passes over some."""
        news = asyncio.Event()
        self._news.add(news)
        try:
            while not self._stop.is_set():
                news.clear()
                state = self._session.state
                text = await asyncio.to_thread(state.news, seen)
                yield f"id: {state.seen}\ndata: {text}\n\n"
                seen = state.seen
                await news.wait()
        finally:
            self._news.discard(news)

    def _wake(self) -> None:
        for news in self._news:
            news.set()

    @asynccontextmanager
    async def _watching(self, _app: Starlette) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()

        def wake() -> None:
            with suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(self._wake)

        self._session.on_change = wake
        task = asyncio.create_task(self._follow())
        yield
        self.close()
        await task

    async def _follow(self) -> None:
        """Begin anew whenever a file has changed."""
        session = self._session
        while not self._stop.is_set():
            folders = session.folders()
            watched = awatch(
                *folders,
                watch_filter=None,
                recursive=False,
                stop_event=self._stop,
                debounce=GATHERED,
                step=10,
                rust_timeout=LOOKED_AT,
                yield_on_timeout=True,
            )
            # A folder can go while it is looked at.
            with suppress(OSError):
                async for _ in watched:
                    if session.has_changed():
                        session.begin()
                    if session.folders() != folders:
                        break
                continue
            await asyncio.sleep(0.2)


class _Server(uvicorn.Server):
    """Leaves signals to whoever runs it, and asks whether there was one."""

    def __init__(self, site: Site, opened: Callable[[], None], interrupted: Callable[[], bool]) -> None:
        super().__init__(
            uvicorn.Config(
                site.app, loop="asyncio", ws="none", lifespan="on", log_config=None, log_level="error", access_log=False
            )
        )
        self._site, self._opened, self._interrupted = site, opened, interrupted

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._opened()

    async def on_tick(self, counter: int) -> bool:
        if self._interrupted():
            self._site.close()
            return True
        return await super().on_tick(counter)


def serve(
    session: Session,
    title: str,
    listener: socket.socket,
    opened: Callable[[str], None],
    interrupted: Callable[[], bool],
) -> None:
    """Serve a session until it is interrupted; `opened` is called with the address as soon as it can be used."""
    token = secrets.token_urlsafe(24)
    address = f"http://{HOST}:{listener.getsockname()[1]}/{token}/"
    _Server(Site(session, token, title), lambda: opened(address), interrupted).run(sockets=[listener])


def listen(port: int | None = None) -> socket.socket:
    """Return a socket of the loopback at a port, by default the first that is free.

    Raises:
        UsageError: the port is taken.
    """
    ports = [*range(FIRST_PORT, FIRST_PORT + TRIED_PORTS), 0] if port is None else [port]
    for candidate in ports:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            if os.name == "posix":  # elsewhere it would let another program in
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((HOST, candidate))
            listener.listen()
        except OSError as error:
            listener.close()
            reason = error.strerror
        else:
            return listener
    hint = "without --port the next one that is free is taken"
    raise UsageError(f"--port {ports[-1]}: it cannot be used: {reason}\n  {hint}")
