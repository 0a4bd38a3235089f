"""Committing beside a busy server: a helper process decides and appends; commits and requests share no interpreter.

Commands are numbered by their writers, so it does not matter who handles them, nor whether somebody has before: what
the helper got no answer out for is handled here, and what it had committed is recognised.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from runfold_events.contract.commands import LogMetrics
from runfold_events.contract.errors import RunfoldError, error_from
from runfold_events.contract.submission import Outcome, Submission
from runfold_events.ledger import Ledger
from runfold_events.ports import EventStore, IdSource
from runfold_services.helper_process import HelperProcess

BUSY_COMMANDS: Final = (
    4  # as many that wait together show that requests are kept waiting, and are worth a process
)


def helper_command(home: Path) -> list[str]:
    """What starts a helper over the embedded ledger of ``home``."""
    return [sys.executable, "-m", "runfold_services.compose.committing", str(home)]


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


class LedgerBeside(Ledger):
    """A ledger whose larger batches are handled by a helper, when it is there. Safe with threads."""

    def __init__(
        self, store: EventStore, ids: IdSource, helper: HelperProcess, *, busy_commands: int = BUSY_COMMANDS
    ) -> None:
        """``helper``: of :func:`helper_command`, over the same store."""
        super().__init__(store, ids)
        self._helper = helper
        self._busy_commands = busy_commands
        self._in_use = threading.Lock()

    async def handle(self, submissions: Sequence[Submission]) -> list[Outcome]:
        """See :meth:`Ledger.handle`."""
        answered = self._ask(submissions) if len(submissions) >= self._busy_commands else None
        if answered is None:
            return await super().handle(submissions)
        if answered.error is not None:
            raise error_from(*answered.error)
        return answered.outcomes

    def stop(self) -> None:
        """End the helper, after the batch that it is about."""
        with self._in_use:
            self._helper.stop()

    def _ask(self, submissions: Sequence[Submission]) -> Answered | None:
        if not self._in_use.acquire(blocking=False):
            return None
        try:
            answer = self._helper.ask(encode_submissions(submissions))
            return None if answer is None else self._read(answer, len(submissions))
        except OverflowError:  # JSON has larger integers than msgpack
            return None
        finally:
            self._in_use.release()

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
