"""Events as the table holds them: are positions dense, places right, digests and chain those of the bytes?

The rules are those of the design's section 4, written a second time; SQL alone leads here.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from functools import lru_cache
from hashlib import sha256
from itertools import pairwise
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec

from tests.support import independent
from tests.support.distributed.findings import CHAIN, DUPLICATE, HOLE, PLACE, Findings

PAGE_ROWS: Final = 2_000
CHAIN_START: Final = bytes(32)
SLICES_CACHED_MAX: Final = 200_000
STALL_MS: Final = 100

_COLUMNS: Final = ", ".join((*independent.CHAINED_FIELDS, "salt", "digest", "chain", "body"))
_pack = msgspec.msgpack.Encoder().encode
_slice_of = lru_cache(SLICES_CACHED_MAX)(independent.slice_of)


class Stored(NamedTuple):
    """One row; the first fields are those that the chain covers, in its order."""

    id: UUID
    type: str
    stream: str
    stream_seq: int
    partition: int
    pos: int
    slice: int
    epoch: UUID
    occurred_at: int
    recorded_at: int
    actor: str
    actor_source: str
    door: str
    writer_id: UUID
    writer_seq: int
    causation_id: UUID | None
    correlation_id: UUID | None
    traceparent: str | None
    data_version: int
    content_type: str
    subject: str | None
    key_id: str | None
    salt: bytes
    digest: bytes
    chain: bytes
    body: bytes


async def read_partition(connection: Any, partition: int) -> AsyncGenerator[Stored]:
    """The events of a partition in the order of their positions."""
    query = f"SELECT {_COLUMNS} FROM runfold.events WHERE partition = $1 AND pos >= $2 ORDER BY pos LIMIT {PAGE_ROWS}"
    begin = 0
    while True:
        rows = await connection.fetch(query, partition, begin)
        for row in rows:
            yield Stored(*row)
        if len(rows) < PAGE_ROWS:
            return
        begin = rows[-1]["pos"] + 1


class PartitionCheck:
    """Takes the events of one partition one after the other."""

    def __init__(self, partition: int, partitions: int, epoch: UUID, findings: Findings) -> None:
        self.next_pos = 0
        self._partition = partition
        self._partitions = partitions
        self._epoch = epoch
        self._findings = findings
        self._chain = CHAIN_START
        self._stream_seqs: dict[str, int] = {}

    def take(self, event: Stored) -> None:
        """Check one event against the one before."""
        where = f"{self._partition}:{event.pos}"
        if event.pos != self.next_pos:
            self._findings.add(HOLE, f"positions {self.next_pos} to {event.pos - 1} of {self._partition}")
        elif event.chain != _chain_value(self._chain, event):
            self._findings.add(CHAIN, f"{where}: envelope and digest do not follow from the chain before")
        if event.digest != sha256(event.salt + event.body).digest():
            self._findings.add(CHAIN, f"{where}: the body is not the one that was recorded")
        expected = _slice_of(event.stream)
        if (event.slice, event.slice % self._partitions, event.epoch) != (
            expected,
            self._partition,
            self._epoch,
        ):
            self._findings.add(PLACE, f"{where}: {event.stream} in slice {event.slice} of {event.epoch}")
        before = self._stream_seqs.get(event.stream, 0)
        if event.stream_seq != before + 1:
            kind = DUPLICATE if event.stream_seq <= before else HOLE
            self._findings.add(kind, f"{where}: number {event.stream_seq} of {event.stream} after {before}")
        self._stream_seqs[event.stream] = event.stream_seq
        self._chain = event.chain
        self.next_pos = event.pos + 1

    def end(self, next_pos: int, chain_head: bytes) -> None:
        """Compare with the partition's row."""
        if next_pos != self.next_pos:
            self._findings.add(
                HOLE, f"partition {self._partition} ends at {self.next_pos}, its row says {next_pos}"
            )
        elif chain_head != self._chain:
            self._findings.add(CHAIN, f"partition {self._partition}: its row has another head of the chain")


def _chain_value(previous: bytes, event: Stored) -> bytes:
    fields = [field.bytes if isinstance(field, UUID) else field for field in event[:22]]
    return sha256(previous + _pack(fields) + event.digest).digest()


class Rhythm:
    """When events were recorded: the rate, and the longest time without any."""

    def __init__(self) -> None:
        self._found: set[int] = set()
        self._count = 0

    def take(self, event: Stored) -> None:
        """Note one event's time."""
        self._found.add(event.recorded_at // (1_000 * STALL_MS))
        self._count += 1

    def report(self, findings: Findings) -> None:
        """Add the figures."""
        moments = sorted(self._found)
        if len(moments) < 2:
            return
        seconds = (moments[-1] - moments[0]) * STALL_MS / 1_000
        findings.figures["seconds from first to last event"] = seconds
        findings.figures["events stored a second"] = self._count / seconds
        longest = max(after - before - 1 for before, after in pairwise(moments))
        findings.figures["longest time without an event, s"] = longest * STALL_MS / 1_000
