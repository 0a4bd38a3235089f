"""Bodies are read within limits of bytes and time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from runfold_events.contract.errors import RunfoldError, Unavailable
from runfold_services.api import reading
from runfold_services.api.reading import BodyBudget, ClientGone, TooLargeBody, linger, read_body


def sender(*chunks: bytes, ends: bool = True) -> tuple[Callable[[], Awaitable[Any]], list[bytes]]:
    """``receive`` of an ASGI server, and the chunks that it has handed out."""
    left = list(chunks)
    given: list[bytes] = []

    async def receive() -> Any:
        if not left:
            return {"type": "http.disconnect"}
        given.append(left.pop(0))
        return {"type": "http.request", "body": given[-1], "more_body": bool(left) or not ends}

    return receive, given


def read(
    receive: Any, announced: str | None = None, limit: int = 10, budget: BodyBudget | None = None
) -> bytes:
    return asyncio.run(read_body(receive, announced, limit, budget or BodyBudget()))


@pytest.mark.parametrize("chunks", [[b""], [b"abc"], [b"ab", b"", b"cd"], [b"0123456789"]])
def test_a_body_within_its_limit_is_read_whole(chunks: list[bytes]) -> None:
    receive, _ = sender(*chunks)
    assert read(receive) == b"".join(chunks)


def test_an_announced_length_over_the_limit_is_not_read_at_all() -> None:
    receive, given = sender(b"x" * 11)
    with pytest.raises(TooLargeBody) as refused:
        read(receive, "11")
    assert (refused.value.field, refused.value.limit, refused.value.size) == ("body", 10, 11)
    assert given == []


@pytest.mark.parametrize("announced", [None, "5", "nonsense", "-1"])
def test_reading_stops_at_the_limit_whatever_was_announced(announced: str | None) -> None:
    receive, given = sender(b"12345", b"67890", b"x", b"never")
    with pytest.raises(TooLargeBody):
        read(receive, announced)
    assert given == [b"12345", b"67890", b"x"]


def test_a_client_that_goes_away_ends_the_request() -> None:
    receive, _ = sender(b"12", ends=False)
    with pytest.raises(ClientGone):
        read(receive)


def test_a_body_that_does_not_come_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "BODY_WAIT_S_MAX", 0.01)

    async def receive() -> Any:
        await asyncio.sleep(60)

    with pytest.raises(RunfoldError) as refused:
        read(receive)
    assert refused.value.code == "timeout"


def test_all_requests_share_a_budget_and_give_it_back() -> None:
    budget = BodyBudget(8)
    receive, _ = sender(b"12345", b"6789")
    with pytest.raises(Unavailable):
        read(receive, budget=budget)
    receive, _ = sender(b"12345678")
    assert read(receive, budget=budget) == b"12345678"


def test_what_is_left_of_a_large_body_is_read_and_thrown_away_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    receive, given = sender(b"a", b"b", b"c")
    asyncio.run(linger(receive))
    assert given == [b"a", b"b", b"c"]
    monkeypatch.setattr(reading, "LINGER_BYTES_MAX", 2)
    receive, given = sender(b"a", b"b", b"c")
    asyncio.run(linger(receive))
    assert given == [b"a", b"b"]
