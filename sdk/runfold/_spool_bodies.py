"""Bodies of a spool's records, in msgpack. Fields are only ever added at the end, with defaults."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

import msgspec
from msgspec import Struct

from runfold._streams import key_of
from runfold_events.contract.commands import Command


class SeriesBody(Struct, frozen=True, array_like=True):
    """What a series' number stands for."""

    number: int
    workspace: str
    stream: str
    run_id: str | None
    name: str
    kind: str
    description: str


class WideBody(Struct, frozen=True, array_like=True):
    """A value that is no number: a text, a row as a map, or a block as ``[count, columns]``."""

    series: int
    ns: int
    step: int | None
    value: Any


class CommandBody(Struct, frozen=True, array_like=True, gc=False):
    """A command as it was asked for, not numbered yet."""

    workspace: str
    stream: str
    run_id: str | None
    occurred_at: int
    correlation_id: UUID | None
    command: msgspec.Raw


class SentBody(Struct, frozen=True, array_like=True, gc=False):
    """A command that has its place in the order of delivery; its number follows from that order."""

    ordinal: int
    stream: str  # the key of a StreamBody
    occurred_at: int
    correlation_id: UUID | None
    values: int
    command: msgspec.Raw


class StreamBody(Struct, frozen=True, array_like=True, gc=False):
    """How far delivery has come on one stream."""

    workspace: str
    name: str
    run_id: str | None
    writer_id: UUID
    next_seq: int
    lost_values: int  # that found no room and are not declared yet
    by_log: bool = False  # this writer's commands go through a command log

    @property
    def key(self) -> str:
        """What :class:`SentBody` calls it."""
        return key_of(self.name, self.by_log)


class SnapshotBody(Struct, frozen=True, array_like=True):
    """All of delivery's state: calls before the position ``upto`` have become commands, and these wait still."""

    upto: int
    queue: tuple[SentBody, ...]
    streams: tuple[StreamBody, ...]


class StepBody(Struct, frozen=True, array_like=True):
    """What a request or an answer changed: the queue as it is now, what is new in it, and streams that moved."""

    upto: int
    queue: tuple[int, ...]
    new: tuple[SentBody, ...]
    streams: tuple[StreamBody, ...]


encode: Final = msgspec.msgpack.Encoder().encode


def decode_command(raw: msgspec.Raw | bytes) -> Command:
    """A command as it was kept."""
    command: Command = msgspec.msgpack.decode(bytes(raw), type=Command)
    return command
