"""What a door hands to the ledger, and what the ledger answers."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from msgspec import Struct

from runfold_events.contract.commands import Command, RunCommand
from runfold_events.contract.envelope import JSON
from runfold_events.contract.ids import StreamId, experiment_stream, partition_of, run_stream


class Actor(Struct, frozen=True):
    """Who asked, and how we know: ``source`` is os, token, anonymous, kafka or system."""

    name: str
    source: str
    admin: bool = False


class Submission(Struct, frozen=True, kw_only=True, gc=False):
    """One numbered command with everything around it. ``(stream, writer_id, writer_seq)`` makes it idempotent."""

    workspace: str
    command: Command
    writer_id: UUID
    writer_seq: int
    occurred_at: int  # client clock, UTC µs since the epoch
    actor: Actor
    door: str
    content_type: str = JSON  # of a metric batch: the encoding the client used
    hold: bool = False  # the writer's process holds the run that this command starts
    correlation_id: UUID | None = None
    causation_id: UUID | None = None
    traceparent: str | None = None
    names_events: bool = True  # False: nobody looks at the events in the answer, where it is accepted

    @property
    def stream(self) -> StreamId:
        """The stream that the command concerns."""
        return stream_of(self.workspace, self.command)

    def partition(self, partitions: int) -> int:
        """The store partition of that stream, which is not even named where there is only one."""
        return 0 if partitions == 1 else partition_of(self.stream, partitions)


def stream_of(workspace: str, command: Command) -> StreamId:
    """The stream that a command of a workspace concerns."""
    if isinstance(command, RunCommand):
        return run_stream(workspace, command.run_id)
    return experiment_stream(workspace, command.experiment)


class EventRef(Struct, frozen=True, gc=False):
    """An event named in an answer."""

    id: UUID
    type: str
    stream: str
    stream_seq: int
    partition: int
    pos: int


class Accepted(Struct, frozen=True, tag_field="outcome", tag="accepted", omit_defaults=True, gc=False):
    """The command took effect (or changed nothing: no events). ``repeated`` when it was answered before."""

    token: str
    events: tuple[EventRef, ...] = ()
    repeated: bool = False
    run_id: str | None = None


class Refused(Struct, frozen=True, tag_field="outcome", tag="refused", omit_defaults=True):
    """The command had no effect. ``event`` names the rejection where it is part of the audit trail."""

    code: str
    message: str
    facts: dict[str, Any] = {}
    token: str | None = None
    event: EventRef | None = None
    repeated: bool = False


Outcome = Accepted | Refused


def outcome_code(outcome: Outcome) -> str:
    """An outcome in one word, for counts: ``accepted``, ``repeated``, or the code of the refusal."""
    if outcome.repeated:
        return "repeated"
    return outcome.code if isinstance(outcome, Refused) else "accepted"
