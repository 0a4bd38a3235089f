"""The ports of the logs around the ledger: commands come from one, events go to another.

These docstrings are the specification; ``runfold_events.testing.log_contract`` tests it against every adapter. What a
log keeps beyond the ledger's own needs of a store is :class:`LogStore`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol
from uuid import UUID

from msgspec import Struct

from runfold_events.contract.cloudevents import Record
from runfold_events.contract.envelope import PublicEvent
from runfold_events.contract.errors import RunfoldError
from runfold_events.log_door import LogRecord, Reply
from runfold_events.ports import EventStore, PartitionRow


class NotAssigned(RunfoldError):
    """Another member of the group has the partition now, or none has. What was fetched before may still be handled:
    the store's cursor decides whether it counts."""

    default_code = "not_assigned"


class OffsetGone(RunfoldError):
    """The log does not hold the position asked for: it begins after it, or ends before it."""

    default_code = "offset_gone"


class LogMismatch(RunfoldError):
    """Log and store do not belong together: one of them was replaced or set back. A person has to decide."""

    default_code = "log_mismatch"


class Bounds(Struct, frozen=True):
    """What a partition of a log holds: records from ``begin`` to before ``end``."""

    begin: int
    end: int


class Committed(Struct, frozen=True):
    """What the group noted in the log itself about how far it came. A gauge: the store's cursor is what counts."""

    offset: int
    note: str  # the epoch of the store that had handled the records before ``offset``


class Published(Struct, frozen=True):
    """The last event that a partition of the event log holds."""

    pos: int
    epoch: UUID
    id: UUID


class Owner(Protocol):
    """Who is told which partitions a source gives it."""

    async def assigned(self, partitions: frozenset[int]) -> None:
        """These partitions, and no others, are now the member's. Every one must be sought before it is fetched."""
        ...

    async def revoked(self) -> None:
        """The member has no partitions now; what it does with them should end soon.

        Nothing depends on that: whoever goes on all the same finds the store's cursor moved.
        """
        ...


class CommandSource(Protocol):
    """The command log, read as a member of the group that divides its partitions.

    All methods raise ``Unavailable`` when the log cannot answer.
    """

    async def bounds(self) -> dict[int, Bounds]:
        """What every partition of the log holds. May be asked before :meth:`start`."""
        ...

    async def record_at(self, partition: int, offset: int) -> LogRecord | None:
        """The record at ``offset``, or None when the log does not hold that one. May be asked before :meth:`start`."""
        ...

    async def committed(self) -> dict[int, Committed]:
        """What :meth:`note_handled` noted last, for the partitions that have it. May be asked before :meth:`start`."""
        ...

    async def start(self, owner: Owner) -> None:
        """Join the group. ``owner`` is told of partitions from now on."""
        ...

    def seek(self, partition: int, offset: int) -> None:
        """Go on at ``offset``. Required once after each assignment.

        Raises:
            NotAssigned: the partition is not this member's.
        """
        ...

    async def fetch(
        self, partition: int, *, records_max: int, bytes_max: int, wait_s: float
    ) -> list[LogRecord]:
        """The next records in offset order; none when ``wait_s`` has passed without any.

        At most ``records_max``, and not more once ``bytes_max`` are reached; a record larger than that comes too.

        Raises:
            NotAssigned: the partition is not this member's, or was not sought since it became so.
            OffsetGone: the log does not hold the position.
        """
        ...

    def end_hint(self, partition: int) -> int | None:
        """The partition's end as last heard, for a gauge; None when nothing was heard yet."""
        ...

    async def note_handled(self, offsets: Mapping[int, int], note: str) -> None:
        """Note in the log how far the member's partitions are handled. Raises ``NotAssigned`` when they are not its."""
        ...

    async def stop(self) -> None:
        """Leave the group and let go of everything. Calling it twice is fine."""
        ...


class EventSink(Protocol):
    """The event log, as its publisher sees it. Raises ``Unavailable`` when the log cannot answer."""

    async def last(self, partition: int) -> Published | None:
        """The last event of the partition; None when it holds no record.

        Raises:
            LogMismatch: there are records, but none of ours among the last of them.
        """
        ...

    async def publish(self, partition: int, events: Sequence[PublicEvent]) -> None:
        """Append events in order; returns when the log keeps all of them.

        After an error a first part of them may be in the log; never one without those before it.

        Raises:
            LimitExceeded: an event is larger than the log takes. Nothing of the call was sent.
        """
        ...

    async def stop(self) -> None:
        """Let go of everything. Calling it twice is fine."""
        ...


class ReplySink(Protocol):
    """Where answers to commands go. Best effort: senders can always ask the store by the command's key."""

    def offer(self, replies: Sequence[Reply]) -> None:
        """Take replies to be sent by and by, or drop them. Never waits and never raises."""
        ...

    async def start(self) -> None:
        """Begin to send."""
        ...

    async def stop(self) -> None:
        """Send what was taken, within a bound; drop the rest. Calling it twice is fine."""
        ...


class ReplyTopics(Protocol):
    """The topics that answers go to. Raises ``Unavailable`` when the log cannot answer."""

    async def existing(self) -> frozenset[str]:
        """Names of all topics. Asking creates none."""
        ...

    async def send(self, topic: str, record: Record) -> None:
        """Append a record to an existing topic. Which partition is left to the record's key."""
        ...

    async def stop(self) -> None:
        """Let go of everything. Calling it twice is fine."""
        ...


class TopicState(Struct, frozen=True):
    """A topic as it is."""

    partitions: int
    replicas: int  # of the partition that has fewest
    settings: Mapping[str, str]


class TopicAdmin(Protocol):
    """Topics as a program sees and makes them. Raises ``Unavailable`` when the log cannot answer."""

    async def describe(self, name: str) -> TopicState | None:
        """The topic, or None when there is none."""
        ...

    async def create(self, name: str, partitions: int, replicas: int, settings: Mapping[str, str]) -> None:
        """Make a topic, and return when all its partitions have a leader. One that is there already is left alone.

        Raises:
            Invalid: the log refuses to make it so; the message says why.
        """
        ...

    async def stop(self) -> None:
        """Let go of everything. Calling it twice is fine."""
        ...


class LogStore(EventStore, Protocol):
    """An event store with what the logs around it need."""

    async def rows(self) -> tuple[PartitionRow, ...]:
        """Every partition's committed row, without its lock."""
        ...

    async def read_within(
        self, partition: int, from_pos: int, events_max: int, bytes_max: int
    ) -> Sequence[PublicEvent]:
        """As ``read_public``, with at most ``bytes_max`` of bodies; the first event comes whatever its size."""
        ...

    async def published(self) -> tuple[int, ...]:
        """The position after the last one noted as published, by partition number; 0 for none."""
        ...

    async def note_published(self, partition: int, pos: int) -> None:
        """All positions before ``pos`` are published. A note never goes back."""
        ...

    async def share_partitions(self, role: str, member: UUID, lease_us: int) -> frozenset[int]:
        """Be a member of ``role`` for ``lease_us`` µs from now; returns the partitions that the member shall serve.

        Members have equal shares, and no partition has two. A member whose lease ended has none, though it may not
        know yet: what a role does must bear that for a while two serve one partition.
        """
        ...

    async def leave_role(self, role: str, member: UUID) -> None:
        """Give back all partitions at once."""
        ...
