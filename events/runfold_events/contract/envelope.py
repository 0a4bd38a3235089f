"""The envelope of every stored event, its digest and its place in the partition's hash chain.

    digest = sha256(salt || body)
    chain  = sha256(previous chain || msgpack array of the envelope fields in the order below || digest)

UUIDs enter the array as 16 bytes, times as integer µs, absent values as nil. Erasure sets salt and body to NULL and
leaves digest and chain, so the chain still checks afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Final
from uuid import UUID

import msgspec
from msgspec import Struct

from runfold_events.contract.errors import RunfoldError
from runfold_events.contract.ids import slice_of

CHAIN_START: Final = bytes(32)
SALT_BYTES: Final = 16
JSON: Final = "application/json"
MSGPACK: Final = "application/msgpack"
DATA_VERSION: Final = 1

_encode = msgspec.msgpack.Encoder(uuid_format="bytes").encode


class PublicEvent(Struct, frozen=True, gc=False):
    """One event as folds and other services see it. Times are UTC µs since the epoch."""

    partition: int
    pos: int
    stream_seq: int
    occurred_at: int  # the client's clock; never used for order
    recorded_at: int  # the store's clock, read by the lock statement
    writer_seq: int
    id: UUID
    epoch: UUID
    writer_id: UUID
    type: str
    stream: str
    actor: str
    actor_source: str  # os | token | anonymous | kafka | system
    door: str  # embedded | http | kafka | keeper
    digest: bytes
    body: bytes | None
    data_version: int = DATA_VERSION
    content_type: str = JSON
    causation_id: UUID | None = None
    correlation_id: UUID | None = None
    traceparent: str | None = None


class RecordedEvent(PublicEvent, frozen=True, kw_only=True, gc=False):
    """One event as stored: with what proves that it is what was stored."""

    slice: int
    salt: bytes | None
    chain: bytes
    subject: str | None = None  # reserved for encrypted bodies
    key_id: str | None = None  # reserved for encrypted bodies

    @property
    def causes(self) -> tuple[UUID, int]:
        """``(writer_id, writer_seq)``: events with equal causes on one stream come from one command."""
        return self.writer_id, self.writer_seq

    @property
    def is_erased(self) -> bool:
        """True when the body was erased; digest and chain remain."""
        return self.body is None


class Damage(Struct, frozen=True):
    """One place where the ledger does not say what it said when it was written."""

    partition: int
    pos: int
    what: str


class LedgerDamaged(RunfoldError):
    """Stored events contradict their positions, digests or chain."""

    default_code = "ledger_damaged"


def public_part(event: PublicEvent) -> PublicEvent:
    """The event without its proofs."""
    return PublicEvent(*(getattr(event, name) for name in PublicEvent.__struct_fields__))


def body_digest(salt: bytes, body: bytes) -> bytes:
    """``sha256(salt || body)``, 32 bytes."""
    return sha256(salt + body).digest()


def chain_value(previous: bytes, event: RecordedEvent) -> bytes:
    """The chain value of ``event`` after ``previous``; reads neither salt, body nor the event's own ``chain``."""
    fields = (
        event.id,
        event.type,
        event.stream,
        event.stream_seq,
        event.partition,
        event.pos,
        event.slice,
        event.epoch,
        event.occurred_at,
        event.recorded_at,
        event.actor,
        event.actor_source,
        event.door,
        event.writer_id,
        event.writer_seq,
        event.causation_id,
        event.correlation_id,
        event.traceparent,
        event.data_version,
        event.content_type,
        event.subject,
        event.key_id,
    )
    return sha256(previous + _encode(fields) + event.digest).digest()


def check_events(
    events: Sequence[RecordedEvent], *, partition: int, from_pos: int, previous_chain: bytes
) -> tuple[list[Damage], bytes]:
    """Recompute positions, digests and chain of consecutive events.

    Args:
        events: events of one partition in ``pos`` order, the first at ``from_pos``.
        partition: the partition they must belong to.
        from_pos: the position the first must have.
        previous_chain: chain value of the event before, or ``CHAIN_START``.

    Returns:
        All damage found, and the stored chain value of the last event (the checker goes on from what is stored, so
        that one changed event is reported once and not for ever after).
    """
    damage: list[Damage] = []
    chain = previous_chain
    expected = from_pos
    for event in events:
        if event.pos != expected:
            damage.append(Damage(partition, expected, f"positions {expected} to {event.pos - 1} are missing"))
        damage.extend(_check_one(event, partition, chain if event.pos == expected else None))
        chain = event.chain
        expected = event.pos + 1
    return damage, chain


def _check_one(event: RecordedEvent, partition: int, previous_chain: bytes | None) -> list[Damage]:
    found: list[str] = []
    if event.partition != partition:
        found.append(f"the event says partition {event.partition}")
    if event.slice != slice_of(event.stream):
        found.append("the slice is not that of the stream")
    if (event.body is None) != (event.salt is None):
        found.append("body and salt are not erased together")
    elif (
        event.body is not None
        and event.salt is not None
        and body_digest(event.salt, event.body) != event.digest
    ):
        found.append("the body does not match its digest")
    if previous_chain is not None and chain_value(previous_chain, event) != event.chain:
        found.append("the envelope does not match the chain")
    return [Damage(partition, event.pos, what) for what in found]
