"""Turning a library's callback inside out: what it is given one after another becomes something to iterate over."""

from __future__ import annotations

from collections.abc import Callable, Generator
from queue import Empty, SimpleQueue
from threading import Thread, current_thread
from typing import TypeVar

Item = TypeVar("Item")
Returned = TypeVar("Returned")


SECONDS_BETWEEN_LOOKS = 0.2
"""How long an iteration is waited for, before whoever waits may think of something else."""


class _Abandoned(BaseException):
    """Unwinds a function whose iterations nobody asks for any more."""


def iterations(
    function: Callable[[Callable[[Item], None], Callable[[], None]], Returned],
) -> Generator[Item | None, None, Returned]:
    """Yield what a function hands to its callback; return what it returns, raise what it raises.

    The function runs in a thread of its own, and but for its iterations that take long only while its next item is
    being waited for: of such a one None is yielded now and then, and it goes on meanwhile. When the generator is closed
    or forgotten, the callbacks raise and the thread ends.

    Args:
        function: takes the callback, and another that it calls within its iterations, so that these end when nobody
            waits for them any more. It must not refer to the generator's owner, which could not be forgotten then.
    """
    to_caller: SimpleQueue[tuple[str, object]] = SimpleQueue()
    to_thread: SimpleQueue[bool] = SimpleQueue()

    def hand_over(item: Item) -> None:
        to_caller.put(("item", item))
        if not to_thread.get():
            raise _Abandoned

    def look() -> None:
        if not to_thread.empty():
            raise _Abandoned

    def work() -> None:
        try:
            to_caller.put(("outcome", function(hand_over, look)))
        except _Abandoned:
            pass
        except BaseException as error:
            to_caller.put(("error", error))

    thread = Thread(target=work, name="graphrun solver", daemon=True)
    thread.start()
    try:
        while True:
            try:
                kind, given = to_caller.get(timeout=SECONDS_BETWEEN_LOOKS)
            except Empty:
                yield None
                continue
            if kind == "outcome":
                return given  # type: ignore[return-value]
            if kind == "error":
                raise given  # type: ignore[misc]
            yield given  # type: ignore[misc]
            to_thread.put(True)
    finally:
        to_thread.put(False)
        if current_thread() is not thread:
            thread.join()
