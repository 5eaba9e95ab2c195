"""Turning a library's callback inside out: what it is given one after another becomes something to iterate over."""

from __future__ import annotations

from collections.abc import Callable, Generator
from queue import SimpleQueue
from threading import Thread
from typing import TypeVar

Item = TypeVar("Item")
Returned = TypeVar("Returned")


class _Abandoned(BaseException):
    """Unwinds a function whose iterations nobody asks for any more."""


def iterations(function: Callable[[Callable[[Item], None]], Returned]) -> Generator[Item, None, Returned]:
    """Yield what a function hands to its callback; return what it returns, raise what it raises.

    The function runs in a thread of its own and only while its next item is being waited for, so that the two never
    run at once. When the generator is closed or forgotten, the callback raises and the thread ends. One that is left
    in the middle of an iteration, as by Ctrl-C, ends with that iteration, or with the program. The function must not
    refer to the generator's owner, which could not be forgotten then.
    """
    to_caller: SimpleQueue[tuple[str, object]] = SimpleQueue()
    to_thread: SimpleQueue[bool] = SimpleQueue()

    def hand_over(item: Item) -> None:
        to_caller.put(("item", item))
        if not to_thread.get():
            raise _Abandoned

    def work() -> None:
        try:
            to_caller.put(("outcome", function(hand_over)))
        except _Abandoned:
            pass
        except BaseException as error:
            to_caller.put(("error", error))

    thread = Thread(target=work, name="graphrun solver", daemon=True)
    thread.start()
    waiting = False
    try:
        while True:
            kind, given = to_caller.get()
            # The thread waits for an answer, or is about to end.
            waiting = True
            if kind == "outcome":
                return given  # type: ignore[return-value]
            if kind == "error":
                raise given  # type: ignore[misc]
            yield given  # type: ignore[misc]
            waiting = False
            to_thread.put(True)
    finally:
        to_thread.put(False)
        if waiting:
            thread.join()
