"""What a decision is made of."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from msgspec import Struct

from runfold_events.contract.envelope import JSON
from runfold_events.contract.events import AnyEvent


class ParentFacts(Struct, frozen=True, gc=False):
    """What never changes of a parent run."""

    run_id: str
    root_run_id: str
    path: tuple[str, ...]


class Context(Struct, frozen=True, kw_only=True, gc=False):
    """Facts from outside the stream. Of other streams only what never changes; leases by the store's clock."""

    experiment_id: UUID | None = None  # of the experiment that CreateRun names; None = it does not exist
    parent: ParentFacts | None = None  # of the parent that CreateRun names; None = it does not exist
    run_number: int = 0  # reserved for CreateRun
    writer_holds: bool = False  # the sender's process holds the run and its lease lives
    held_by_other: bool = False  # another live process holds the run
    ever_held: bool = False
    will_hold: bool = False  # the sender's process will hold the run if the command is accepted
    content_type: str = JSON  # of the metric batch

    @property
    def has_live_holder(self) -> bool:
        """Somebody can still end the run."""
        return self.writer_holds or self.held_by_other


class Rejection(Struct, frozen=True, kw_only=True):
    """A refusal. ``recorded``: it becomes a ``run.command_rejected`` event and consumes the writer's number.

    Not recorded are refusals for what the sender must correct first: unknown run, experiment or parent, over a limit.
    """

    code: str
    message: str
    facts: dict[str, Any] = {}
    recorded: bool = True


Decision = tuple[AnyEvent, ...] | Rejection
NOTHING: tuple[AnyEvent, ...] = ()
