"""What a log's door remembers of those who send metrics, so that it reads what they repeat only once.

The records of a writer's batches differ in the writer's number, the time, the id that is made of the number, and the
data. Where all else equals an earlier record of the same stream and writer, byte for byte, it means what that meant.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec import Raw
from msgspec.structs import replace

from runfold_events.contract import limits
from runfold_events.contract.cloudevents import Headers, from_rfc3339
from runfold_events.contract.commands import LogMetrics
from runfold_events.contract.errors import Invalid
from runfold_events.contract.submission import Actor, Submission
from runfold_events.ports import WriterKey

SENDERS_MAX: Final = 16_384
HEADERS_BYTES_MAX: Final = 4_096  # of what is kept of one sender; headers may have megabytes
_DIGITS_MAX: Final = 18  # every number of so many digits is a legal one, but 0
_REPEATED: Final = frozenset(
    (
        *("ce_specversion", "ce_type", "ce_source", "ce_subject", "ce_partitionkey", "ce_writerid"),
        *("traceparent", "content-type"),
    )
)
_VARYING: Final = ("ce_id", "ce_time", "ce_writerseq")


class Sender:
    """A writer of one run's metrics: what its records have in common, and what that was found to mean."""

    __slots__ = ("headers", "key", "partition", "run_id", "said")

    def __init__(self, headers: Mapping[str, bytes], said: Submission, run_id: str, partition: int) -> None:
        self.headers = headers
        self.said = said  # by an earlier record
        self.run_id = run_id
        self.partition = partition
        self.key: WriterKey = (said.stream, said.writer_id)


class Senders:
    """The senders that were seen last."""

    def __init__(self, senders_max: int = SENDERS_MAX) -> None:
        self._senders_max = senders_max
        self._known: dict[tuple[bytes | None, bytes | None], Sender] = {}

    def read(
        self, partition: int, key: bytes | None, value: bytes | None, headers: Headers, actor: Actor
    ) -> tuple[Sender, Submission] | None:
        """Whose record this is, and its submission, of which nothing but the batch is left to check.

        Returns:
            None for what is not one more record of a known sender, with nothing wrong about it: it has to be read
            as any other.
        """
        given = dict(headers)
        sender = self._known.get((key, given.get("ce_writerid")))
        if sender is None or sender.partition != partition or sender.said.actor != actor:
            return None
        identity, time, number = (
            given.pop("ce_id", b""),
            given.pop("ce_time", b""),
            given.pop("ce_writerseq", b""),
        )
        if given != sender.headers or len(headers) != len(given) + len(_VARYING):
            return None
        if not (number.isdigit() and len(number) <= _DIGITS_MAX and identity.isascii() and time.isascii()):
            return None
        writer_seq = int(number)
        data = value or b""
        try:
            occurred_at = from_rfc3339(time.decode())
        except Invalid:
            return None
        if (
            writer_seq < 1
            or len(data) > limits.COMMAND_BYTES_MAX
            or not limits.TIME_US_MIN <= occurred_at <= limits.TIME_US_MAX
        ):
            return None
        said = sender.said
        return sender, Submission(
            workspace=said.workspace,
            command=LogMetrics(sender.run_id, Raw(data)),
            writer_id=said.writer_id,
            writer_seq=writer_seq,
            occurred_at=occurred_at,
            actor=said.actor,
            door=said.door,
            content_type=said.content_type,
            traceparent=said.traceparent,
        )

    def learn(self, partition: int, key: bytes | None, headers: Headers, said: Submission) -> None:
        """Remember whose record this was, if it is metrics; nothing about it may have been refused."""
        if not isinstance(said.command, LogMetrics):
            return
        given = dict(headers)
        writer = given.get("ce_writerid")
        for name in _VARYING:
            given.pop(name, None)
        if not given.keys() <= _REPEATED or len(headers) != len(given) + len(_VARYING):
            return
        if sum(map(len, given.values())) > HEADERS_BYTES_MAX:
            return
        if len(self._known) >= self._senders_max:
            self._known.clear()  # who sends on is learned again
        run_id = said.command.run_id
        without_data = replace(said, command=LogMetrics(run_id, Raw()))
        self._known[key, writer] = Sender(given, without_data, run_id, partition)
