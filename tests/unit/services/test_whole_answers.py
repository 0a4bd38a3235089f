"""What is written for one answer is sent in one piece, and nothing waits for longer than the event loop's next turn."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from runfold_services.bounded_http import HELD_BYTES_MAX, WholeAnswers


class Wire:
    """What a transport was told, in order."""

    def __init__(self) -> None:
        self.told: list[bytes | str] = []

    def write(self, data: bytes) -> None:
        self.told.append(data)

    def close(self) -> None:
        self.told.append("close")

    def is_closing(self) -> bool:
        return "close" in self.told


def scenario(play: Callable[[Wire, WholeAnswers], Awaitable[None]]) -> list[bytes | str]:
    async def run() -> list[bytes | str]:
        wire = Wire()
        await play(wire, WholeAnswers(wire, asyncio.get_running_loop()))
        return wire.told

    return asyncio.run(run())


def test_head_and_body_leave_together_when_the_answer_is_complete() -> None:
    async def play(wire: Wire, answers: WholeAnswers) -> None:
        answers.write(b"head ")
        answers.write(b"body")
        assert wire.told == []
        answers.flush()
        assert wire.told == [b"head body"]
        await asyncio.sleep(0)

    assert scenario(play) == [b"head body"], "nothing is sent twice"


def test_a_part_of_a_stream_leaves_at_the_next_turn_of_the_loop() -> None:
    async def play(wire: Wire, answers: WholeAnswers) -> None:
        for part in (b"first", b"second"):
            answers.write(part)
            await asyncio.sleep(0)
            assert wire.told[-1] == part

    assert scenario(play) == [b"first", b"second"]


def test_what_is_large_is_not_held() -> None:
    async def play(wire: Wire, answers: WholeAnswers) -> None:
        answers.write(b"head ")
        answers.write(bytes(HELD_BYTES_MAX))
        assert [len(part) for part in wire.told] == [5 + HELD_BYTES_MAX]

    scenario(play)


def test_who_closes_sends_what_is_held_first() -> None:
    async def play(wire: Wire, answers: WholeAnswers) -> None:
        answers.write(b"last words")
        assert not answers.is_closing()
        answers.close()
        assert answers.is_closing()

    assert scenario(play) == [b"last words", "close"]
