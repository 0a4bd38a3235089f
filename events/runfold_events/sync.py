"""Drive a coroutine that never suspends, without an event loop."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def run_sync(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of ``coroutine``; raises ``RuntimeError`` if it would have to wait for an event loop.

    Ports are asynchronous for the sake of network stores; an embedded store answers at once, so an embedded program
    needs neither a loop nor a second, synchronous half of every class.
    """
    try:
        coroutine.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    coroutine.close()
    raise RuntimeError(
        "this coroutine waits for an event loop; only embedded adapters can be driven without one"
    )
