"""The log of deliveries: what became of the calls, so that another process can go on exactly where this one stopped.

Before a request is sent for the first time its commands are written here, byte for byte and in order; after an answer
it says what is left. Numbers follow from that order and from the streams' next numbers, so whoever reads this log sends
the same bytes under the same numbers again, which is harmless, and never others under a number that may be used up.

**In doubt.** Where the disk takes no new segment, delivery goes on without this log: a job must not wait for its disk.
Two positions in the calls are then noted into the last segment that there is, in place: before the first everything was
answered, and between them it was sent or about to be. Whoever finds such a note declares what lies between as in doubt,
and delivers what follows as a new writer.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Final

import msgspec
from msgspec import Struct

from runfold import _spool_format as form
from runfold._spool_bodies import SentBody, SnapshotBody, StepBody, StreamBody, encode
from runfold._spool_format import Damage, Kind
from runfold._spool_log import Log, OldLog, Segment
from runfold._streams import Pending, Stream

RETRY_DISK_S: Final = 10.0
_SEGMENT_BYTES: Final = 8 * 1024 * 1024
_SIZE_SLACK_BYTES: Final = 200  # what a command's size says at most beyond its bytes
_STREAM_BYTES_MIN: Final = 60
_log = logging.getLogger("runfold")


class Deliveries:
    """Writes the log. Used by one thread at a time.

    Args:
        log: where; None before the spool is made.
    """

    def __init__(self, log: Callable[[], Log | None], clock: Callable[[], float] = time.monotonic) -> None:
        self._find_log = log
        self._clock = clock
        self._streams: dict[str, Stream] = {}
        self._ordinal = 0
        self._upto = 0
        self._settled_to = 0  # everything before was answered
        self._noted: Segment | None = None  # the segment that says what is in doubt
        self._retry_at = 0.0

    def begin(self, upto: int, ordinal: int, streams: dict[str, Stream]) -> None:
        """Go on where another process stopped."""
        self._streams = dict(streams)
        self._ordinal = ordinal
        self._upto = self._settled_to = upto

    @property
    def streams(self) -> list[Stream]:
        """Every stream that was written to."""
        return list(self._streams.values())

    def note(self, upto: int, queue: Sequence[Pending], moved: Iterable[Stream]) -> None:
        """Calls before ``upto`` have become commands, and these wait now; ``moved``: streams that changed.

        Never raises for the disk's sake.
        """
        self._upto = max(upto, self._upto)
        if not queue:
            self._settled_to = self._upto
        log = self._find_log()
        if log is None or log.folder is None:
            return
        changed = list(dict.fromkeys(moved))
        self._streams |= {stream.key: stream for stream in changed}
        new = [pending for pending in queue if not pending.ordinal]
        for pending in new:
            self._ordinal += 1
            pending.ordinal = self._ordinal
        self._write(log, new, changed, queue)

    def _write(
        self, log: Log, new: Sequence[Pending], changed: Sequence[Stream], queue: Sequence[Pending]
    ) -> None:
        if self._noted is None and self._has_room(log.current, new, changed):
            step = StepBody(
                self._upto,
                tuple([pending.ordinal for pending in queue]),
                tuple(map(_sent, new)),
                tuple(map(_stream, changed)),
            )
            if log.current.append(Kind.STEP, encode(step)):
                return
        if self._noted is not None and self._clock() < self._retry_at:
            self._note_doubt()
            return
        try:
            self._begin_segment(log, queue)
        except OSError as error:
            self._begin_doubt(log, error)

    @staticmethod
    def _has_room(segment: Segment, new: Sequence[Pending], changed: Sequence[Stream]) -> bool:
        """False where a step of so much certainly has none: ten thousand commands need not be encoded to see it."""
        least = sum([pending.size_bytes for pending in new]) - _SIZE_SLACK_BYTES * len(new)
        return least + _STREAM_BYTES_MIN * len(changed) <= segment.size - segment.end

    def _begin_segment(self, log: Log, queue: Sequence[Pending]) -> None:
        """Say all that is still needed in a new segment, which then is the only one; raises ``OSError``."""
        snapshot = encode(
            SnapshotBody(
                self._upto,
                tuple(map(_sent, queue)),
                tuple(map(_stream, self._streams.values())),
            )
        )
        segment = log.roll(log.next_size(form.record_bytes(len(snapshot)), _SEGMENT_BYTES))
        segment.append(Kind.SNAPSHOT, snapshot)
        log.drop_before(segment.base)  # nothing of this one
        self._noted = None

    def forget(self) -> None:
        """Everything was answered: keep the streams' numbers, and none of what was sent."""
        log = self._find_log()
        if log is not None and log.folder is not None and self._noted is None:
            with suppress(OSError):  # then it goes with the next segment
                self._begin_segment(log, ())

    def _begin_doubt(self, log: Log, error: OSError) -> None:
        if self._noted is None:
            _log.warning(
                "runfold: %s takes no more files (%s): what is being sent is not protected until it does: if this "
                "process is killed before an answer, it is not known whether that arrived",
                log.folder,
                error.strerror or error,
            )
        self._noted = log.current
        self._retry_at = self._clock() + RETRY_DISK_S
        self._note_doubt()

    def _note_doubt(self) -> None:
        segment = self._noted
        if segment is not None and segment.size:
            form.write_doubt(segment.buffer, self._settled_to, self._upto)

    @property
    def keeps_from(self) -> int:
        """From where on the calls are still needed."""
        return self._settled_to if self._noted is not None else self._upto


def _sent(pending: Pending) -> SentBody:
    return SentBody(
        pending.ordinal,
        "" if pending.stream is None else pending.stream.key,
        pending.occurred_at,
        pending.correlation_id,
        pending.values,
        msgspec.Raw(encode(pending.command)),
    )


def _stream(stream: Stream) -> StreamBody:
    return StreamBody(
        stream.workspace,
        stream.name,
        stream.run_id,
        stream.writer_id,
        stream.next_seq,
        stream.lost_values,
        stream.by_log,
    )


class State(Struct):
    """Where a delivery stopped, as its log says.

    Attributes:
        upto: calls before this position have become commands.
        queue: commands without an answer, in order.
        streams: by key.
        ordinal: the last one that was given.
        doubt: None, or the positions between which calls may or may not have been sent.
        damaged_bytes: of the log itself; what was in them is not known.
    """

    upto: int = 0
    queue: list[SentBody] = []
    streams: dict[str, StreamBody] = {}
    ordinal: int = 0
    doubt: tuple[int, int] | None = None
    damaged_bytes: int = 0
    missing: int = 0  # commands of the queue whose bytes were damaged


def read_state(log: OldLog) -> State:
    """What the log of deliveries says at its end."""
    state = State()
    items: dict[int, SentBody] = {}
    for _, found in log.records():
        if isinstance(found, Damage):
            state.damaged_bytes += found.size_bytes
        elif found.kind == Kind.SNAPSHOT:
            snapshot = msgspec.msgpack.decode(found.body, type=SnapshotBody)
            items = {item.ordinal: item for item in snapshot.queue}
            _move(state, snapshot.upto, list(items), snapshot.streams, items)
        elif found.kind == Kind.STEP:
            step = msgspec.msgpack.decode(found.body, type=StepBody)
            items |= {item.ordinal: item for item in step.new}
            _move(state, step.upto, step.queue, step.streams, items)
            items = {ordinal: items[ordinal] for ordinal in step.queue if ordinal in items}
    state.queue = list(items.values())
    doubts = [form.read_doubt(buffer) for _, buffer, _ in log.segments[-1:]]
    state.doubt = next((doubt for doubt in doubts if doubt != (0, 0)), None)
    return state


def _move(
    state: State,
    upto: int,
    queue: Sequence[int],
    streams: Sequence[StreamBody],
    items: dict[int, SentBody],
) -> None:
    state.upto = upto
    state.streams |= {stream.key: stream for stream in streams}
    state.ordinal = max([state.ordinal, *queue])
    state.missing = sum(1 for ordinal in queue if ordinal not in items)
