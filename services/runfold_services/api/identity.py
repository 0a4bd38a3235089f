"""Whose commands these are and how they are numbered: what makes a retry harmless."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final
from uuid import UUID

import uuid_utils.compat
from msgspec import Struct

from runfold_events.contract import limits
from runfold_events.contract.errors import Invalid, LimitExceeded
from runfold_events.contract.ids import bulk_run_id, idempotency_writer
from runfold_events.contract.submission import Actor

WRITER_HEADER: Final = "runfold-writer"
WRITER_SEQ_HEADER: Final = "runfold-writer-seq"
IDEMPOTENCY_HEADER: Final = "idempotency-key"
WRITERS_REMEMBERED: Final = 10_000  # every request of a process names its writer


class Sender(Struct, frozen=True, kw_only=True):
    """The writer of one request.

    ``Runfold-Writer`` names a process that numbers its commands itself. A bare ``Idempotency-Key`` stands, per actor,
    for a writer that numbers the commands of its request 1…n per stream. With neither, the request is a new writer.
    """

    writer_id: UUID
    is_process: bool = False
    number: int | None = None  # Runfold-Writer-Seq
    key: str | None = None  # Idempotency-Key

    @property
    def is_nobody(self) -> bool:
        """The request named neither a writer nor a key: nobody will send it again under the same numbers."""
        return not self.is_process and self.key is None

    def numbers(self, streams: Sequence[str], *, fresh: bool = False) -> list[int]:
        """Numbers for commands on ``streams``. ``fresh``: nobody can have numbered anything on these streams yet.

        Raises:
            Invalid: a process must say its number, and did not.
        """
        start = self.number
        if start is None:
            if self.is_process and not fresh:
                raise _missing_number()
            start = 1
        given: dict[str, int] = {}
        numbers: list[int] = []
        for stream in streams:
            number = given.get(stream, start)
            given[stream] = number + 1
            numbers.append(number)
        return numbers

    def run_id(self, index: int) -> str:
        """The id of run ``index`` that the server makes for this request; the same for a repeated key.

        It derives from the key's writer and so from the actor: another actor's equal key makes other ids.
        """
        if self.key is None and self.is_process:
            raise Invalid(
                "a writer that numbers its commands also chooses run ids: give run_id, or an Idempotency-Key",
                facts={"field": "run_id"},
            )
        return bulk_run_id(str(self.writer_id), index)


class KeyedSender(Sender, frozen=True, kw_only=True):
    """A process that also sent an Idempotency-Key: the key makes ids, the process's number makes idempotence."""

    key_writer: UUID

    def run_id(self, index: int) -> str:
        return bulk_run_id(str(self.key_writer), index)


def new_writer() -> UUID:
    """A writer that nobody has been. Ids ascend, so that of values with equal step and time the later one counts."""
    return uuid_utils.compat.uuid7()


def sender_of(headers: Mapping[str, str], actor: Actor) -> Sender:
    """Read the three headers.

    Raises:
        Invalid: a header is malformed, or a number stands without its writer; ``field`` names it.
    """
    key = _key(headers.get(IDEMPOTENCY_HEADER))
    writer = headers.get(WRITER_HEADER)
    number = _number(headers.get(WRITER_SEQ_HEADER))
    if writer is None:
        if number is not None:
            raise Invalid(
                "Runfold-Writer-Seq needs Runfold-Writer",
                facts={"field": "Runfold-Writer", "limit": "a UUID"},
            )
        if key is None:
            return Sender(writer_id=new_writer())
        return Sender(writer_id=idempotency_writer(actor.name, key), key=key)
    writer_id = _uuid(writer, "Runfold-Writer")
    if key is None:
        return Sender(writer_id=writer_id, is_process=True, number=number)
    return KeyedSender(
        writer_id=writer_id,
        is_process=True,
        number=number,
        key=key,
        key_writer=idempotency_writer(actor.name, key),
    )


def _key(value: str | None) -> str | None:
    if value is None:
        return None
    if not 1 <= len(value) <= limits.IDEMPOTENCY_KEY_CHARS_MAX:
        raise LimitExceeded(
            f"Idempotency-Key must have 1 to {limits.IDEMPOTENCY_KEY_CHARS_MAX} characters; it has {len(value)}",
            facts={
                "field": "Idempotency-Key",
                "limit": limits.IDEMPOTENCY_KEY_CHARS_MAX,
                "size": len(value),
            },
        )
    return value


def _number(value: str | None) -> int | None:
    if value is None:
        return None
    if (
        value.isascii()
        and value.isdecimal()
        and len(value) <= 19
        and 1 <= int(value) <= limits.WRITER_SEQ_MAX
    ):
        return int(value)
    raise Invalid(
        f"Runfold-Writer-Seq must be a number from 1; got {value[:80]!r}",
        facts={"field": "Runfold-Writer-Seq", "limit": limits.WRITER_SEQ_MAX, "size": value[:80]},
    )


@lru_cache(WRITERS_REMEMBERED)
def _uuid(value: str, field: str) -> UUID:
    try:
        return UUID(value)
    except ValueError:
        raise Invalid(
            f"{field} must be a UUID; got {value[:80]!r}",
            facts={"field": field, "limit": "a UUID", "size": value[:80]},
        ) from None


def _missing_number() -> Invalid:
    return Invalid(
        "a writer numbers its commands: Runfold-Writer-Seq is missing",
        facts={"field": "Runfold-Writer-Seq", "limit": limits.WRITER_SEQ_MAX},
    )
