"""Committing beside a busy server: a helper process decides and appends; commits and requests share no interpreter.

Commands are numbered by their writers, so it does not matter who handles them, nor whether somebody has before: what
the helper got no answer out for is handled here, and what it had committed is recognised.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from runfold_events.contract.commands import EraseRun, LogMetrics
from runfold_events.contract.errors import RunfoldError, error_from
from runfold_events.contract.submission import Outcome, Submission
from runfold_services.helper_on_loop import HelperOnLoop
from runfold_services.threads import Beside, Places

TASK: Final = "committing"
# As many that wait together show that requests are kept waiting, and are worth a process.
BUSY_COMMANDS: Final = 4
BATCHES_AT_ONCE: Final = 2


class _Sent(Struct, array_like=True, gc=False):
    """A submission as the helper is told; a metric batch beside it, since it may be JSON within msgpack."""

    submission: Submission
    batch: bytes | None = None


class Answered(Struct, array_like=True, gc=False):
    """Outcomes; or the error that all commands had, as code, message and facts."""

    outcomes: list[Outcome] = []
    error: tuple[str, str, dict[str, object]] | None = None


_ELSEWHERE: Final = msgspec.Raw(b"\xc0")  # null: stands for a batch that goes beside its command
_encoder: Final = msgspec.msgpack.Encoder(uuid_format="bytes")
_sent_decoder: Final = msgspec.msgpack.Decoder(list[_Sent])
_answered_decoder: Final = msgspec.msgpack.Decoder(Answered)


class CommittingBeside(Beside):
    """:class:`~runfold_services.threads.Places` whose larger batches are committed by a helper, when it is there.

    Two batches may be under way, so that the helper has the next one while this process answers the last one's senders.
    Commands are handled in the order in which they came, whoever handles them: a batch is committed here once all that
    came before it are done, and the helper is asked nothing while one is to be committed here.
    """

    def __init__(self, places: Places, helper: HelperOnLoop, *, busy_commands: int = BUSY_COMMANDS) -> None:
        """``helper``: of :data:`TASK`, over the same store."""
        super().__init__(places)
        self._helper = helper
        self._busy_commands = busy_commands
        self._turns: deque[asyncio.Future[None]] = deque()  # of the batches under way, as they came
        self._here = 0  # how many of them are to be committed here

    @property
    def submits_at_once(self) -> int:
        """See :class:`~runfold_services.threads.Places`."""
        return BATCHES_AT_ONCE

    async def submit(
        self, submissions: Sequence[Submission], here: Callable[[], Coroutine[Any, Any, list[Outcome]]]
    ) -> list[Outcome]:
        """See :class:`~runfold_services.threads.Places`."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._turns.append(turn)
        self._call_first()
        try:
            answered = await self._ask(submissions) if self._is_for_helper(submissions) else None
            if answered is None:
                return await self._commit_here(turn, here)
        finally:
            self._turns.remove(turn)
            self._call_first()
        if answered.error is not None:
            raise error_from(*answered.error)
        return answered.outcomes

    async def stop(self) -> None:
        """See :class:`~runfold_services.threads.Places`."""
        await self._helper.stop()
        await super().stop()

    def _is_for_helper(self, submissions: Sequence[Submission]) -> bool:
        if len(submissions) >= self._busy_commands:
            self._helper.start()
        elif len(self._turns) == 1:
            return False  # one with others under way goes where they went
        # An erasure removes files, too, which is done here.
        is_able = not any(isinstance(submission.command, EraseRun) for submission in submissions)
        return self._helper.is_ready and not self._here and is_able

    async def _ask(self, submissions: Sequence[Submission]) -> Answered | None:
        try:
            request = encode_submissions(submissions)
        except OverflowError:  # JSON has larger integers than msgpack
            return None
        answer = await self._helper.ask(request)
        return None if answer is None else self._read(answer, len(submissions))

    def _read(self, answer: bytes, count: int) -> Answered | None:
        try:
            answered = read_answer(answer)
        except msgspec.MsgspecError as error:
            self._helper.give_up(str(error))
            return None
        if answered.error is None and len(answered.outcomes) != count:
            self._helper.give_up(f"{len(answered.outcomes)} outcomes for {count} commands")
            return None
        return answered

    async def _commit_here(
        self, turn: asyncio.Future[None], here: Callable[[], Coroutine[Any, Any, list[Outcome]]]
    ) -> list[Outcome]:
        self._here += 1
        try:
            await turn
            return await self.commit(here)
        finally:
            self._here -= 1

    def _call_first(self) -> None:
        """Whoever is first of those under way may commit here."""
        if self._turns and not self._turns[0].done():
            self._turns[0].set_result(None)


def encode_submissions(submissions: Sequence[Submission]) -> bytes:
    """What the helper is told."""
    return _encoder.encode([_sent(submission) for submission in submissions])


def answer_to(request: bytes, handle: Callable[[list[Submission]], list[Outcome]]) -> bytes:
    """The helper's answer; ``handle`` is its ledger's."""
    submissions = [_submission(sent) for sent in _sent_decoder.decode(request)]
    try:
        return _encoder.encode(Answered(outcomes=handle(submissions)))
    except RunfoldError as error:
        return _encoder.encode(Answered(error=(error.code, error.message, error.facts)))


def read_answer(answer: bytes) -> Answered:
    """What :func:`answer_to` said. Raises ``msgspec.MsgspecError`` for anything else."""
    return _answered_decoder.decode(answer)


def _sent(submission: Submission) -> _Sent:
    command = submission.command
    if not isinstance(command, LogMetrics):
        return _Sent(submission)
    return _Sent(replace(submission, command=replace(command, batch=_ELSEWHERE)), bytes(command.batch))


def _submission(sent: _Sent) -> Submission:
    submission = sent.submission
    command = submission.command
    if sent.batch is None or not isinstance(command, LogMetrics):
        return submission
    return replace(submission, command=replace(command, batch=msgspec.Raw(sent.batch)))
