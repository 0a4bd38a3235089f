"""Reading request bodies: within a limit of bytes and of time, whatever the client announces."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

from runfold_events.contract import limits
from runfold_events.contract.errors import LimitExceeded, RunfoldError, Unavailable

BODY_WAIT_S_MAX: Final = 60.0
BODIES_BYTES_MAX: Final = 256 * 1024 * 1024  # of all requests that are being read
LINGER_BYTES_MAX: Final = 32 * 1024 * 1024
LINGER_S_MAX: Final = 2.0


class ClientGone(Exception):  # not an error of ours; ends the request without an answer
    """The client closed the connection before its request was complete."""


class BodyBudget:
    """Bytes that all requests together hold while they are read."""

    def __init__(self, bytes_max: int = BODIES_BYTES_MAX) -> None:
        self._left = bytes_max

    def take(self, size: int) -> None:
        """Account for ``size`` more bytes; raises :class:`Unavailable` when there is no room."""
        if size > self._left:
            raise Unavailable("too many large requests at once; send again later", facts={"retry_after": 1.0})
        self._left -= size

    def give_back(self, size: int) -> None:
        """The bytes were handed on."""
        self._left += size


class TooLargeBody(LimitExceeded):
    """The body is over its limit; what is left of it has not been read."""


async def read_body(receive: Any, announced: str | None, bytes_max: int, budget: BodyBudget) -> bytes:
    """The whole body.

    Raises:
        LimitExceeded: it is over ``bytes_max``; reading stopped there, or did not begin.
        RunfoldError: ``timeout``: it did not arrive in time.
        ClientGone: the connection was closed.
    """
    if announced is not None and announced.isdecimal() and int(announced) > bytes_max:
        raise _too_large(bytes_max, int(announced))
    if _is_whole(receive):  # as most are; then there is nothing to wait for, and to set no clock is cheaper
        return await _read_all(receive, bytes_max, budget)
    try:
        async with asyncio.timeout(BODY_WAIT_S_MAX):
            return await _read_all(receive, bytes_max, budget)
    except TimeoutError:
        raise RunfoldError(
            f"the request body did not arrive within {BODY_WAIT_S_MAX:.0f} s",
            code="timeout",
            facts={"field": "body", "limit": BODY_WAIT_S_MAX},
        ) from None


def _is_whole(receive: Any) -> bool:
    """Whether all of the body has come. uvicorn's requests know; of any other it is not known."""
    return getattr(getattr(receive, "__self__", None), "more_body", True) is False


async def _read_all(receive: Any, bytes_max: int, budget: BodyBudget) -> bytes:
    taken = 0
    chunks: list[bytes] = []
    try:
        while True:
            message = await receive()
            if message["type"] != "http.request":
                raise ClientGone
            chunk: bytes = message.get("body", b"")
            if taken + len(chunk) > bytes_max:
                raise _too_large(bytes_max, taken + len(chunk))
            budget.take(len(chunk))
            taken += len(chunk)
            chunks.append(chunk)
            if not message.get("more_body", False):
                return chunks[0] if len(chunks) == 1 else b"".join(chunks)
    finally:
        budget.give_back(taken)


class BodyStream:
    """A body that is handed on while it arrives, so that its size is no matter of memory."""

    def __init__(self, receive: Any, headers: Mapping[str, str], budget: BodyBudget) -> None:
        announced = headers.get("content-length", "")
        self.size: int | None = int(announced) if announced.isdecimal() else None
        self.content_type = headers.get("content-type")
        self.is_read = False
        self.received = 0  # bytes so far
        self._receive = receive
        self._budget = budget

    async def pieces(self, piece_bytes: int) -> AsyncIterator[bytes]:
        """The body in pieces of that size, the last one smaller.

        Raises:
            RunfoldError: ``timeout``: nothing came for :data:`~runfold_events.contract.limits.FILE_WAIT_S_MAX`.
            Unavailable: too much is being received at once.
            ClientGone: the connection was closed before the body's end.
        """
        held = bytearray()
        taken = 0
        try:
            while not self.is_read:
                chunk = await self._next()
                self._budget.take(len(chunk))
                taken += len(chunk)
                held += chunk
                while len(held) >= piece_bytes:
                    yield bytes(held[:piece_bytes])
                    del held[:piece_bytes]
                self._budget.give_back(taken - len(held))
                taken = len(held)
            if held:
                yield bytes(held)
        finally:
            self._budget.give_back(taken)

    async def whole(self, bytes_max: int) -> bytes:
        """All of a small body; raises :class:`TooLargeBody` for more than ``bytes_max``."""
        if self.size is not None and self.size > bytes_max:
            raise _too_large(bytes_max, self.size)
        held = b""
        async for piece in self.pieces(bytes_max):
            held += piece
            if len(held) > bytes_max:
                raise _too_large(bytes_max, len(held))
        return held

    async def _next(self) -> bytes:
        try:
            async with asyncio.timeout(limits.FILE_WAIT_S_MAX):
                message = await self._receive()
        except TimeoutError:
            raise RunfoldError(
                f"nothing of the body arrived for {limits.FILE_WAIT_S_MAX:.0f} s",
                code="timeout",
                facts={"field": "body", "limit": limits.FILE_WAIT_S_MAX},
            ) from None
        if message["type"] != "http.request":
            raise ClientGone
        self.is_read = not message.get("more_body", False)
        chunk: bytes = message.get("body", b"")
        self.received += len(chunk)
        return chunk


async def linger(receive: Any) -> None:
    """Read on for a while and throw away.

    A connection that is closed with unread data is reset, and a reset can reach the client before the answer does.
    """
    left = LINGER_BYTES_MAX
    try:
        async with asyncio.timeout(LINGER_S_MAX):
            while left > 0:
                message = await receive()
                left -= len(message.get("body", b""))
                if message["type"] != "http.request" or not message.get("more_body", False):
                    return
    except TimeoutError:
        return


def _too_large(limit: int, size: int) -> TooLargeBody:
    return TooLargeBody(
        f"the request body may have {limit} bytes; it has {size} or more",
        facts={"field": "body", "limit": limit, "size": size},
    )
