"""Where views stand, as a position that clients can name, and what to say when that is not far enough."""

from __future__ import annotations

from collections.abc import Sequence

from runfold_events.contract.errors import PositionNotReached
from runfold_events.contract.tokens import Token
from runfold_projections.projection import Catalogue, EventSource, Projection
from runfold_projections.runner import active_checkpoint


def position_of(catalogue: Catalogue, source: EventSource, projections: Sequence[Projection]) -> Token:
    """What every projection has folded at least."""
    ends: dict[int, int] = {}
    for partition in range(source.partitions):
        checkpoints = [active_checkpoint(catalogue, p, partition) for p in projections]
        # Who asks a view that has stopped is told so; it holds nobody else back.
        running = [c.pos for c in checkpoints if c.stopped is None] or [c.pos for c in checkpoints]
        ends[partition] = min(running)
    return Token(source.epoch, ends)


def has_reached(at: Token, position: Token) -> bool:
    """True when ``position`` is at ``at`` or after it; both of one epoch."""
    return all(end <= position.ends.get(partition, 0) for partition, end in at.ends.items())


def check_epoch(at: Token, position: Token) -> None:
    """Raise :class:`PositionNotReached` for a token of another epoch, which waiting does not help."""
    if at.epoch != position.epoch:
        raise PositionNotReached(
            f"the token is of store epoch {at.epoch}; the store's epoch is {position.epoch}: forget the token",
            facts={"position": str(position), "epoch": str(position.epoch), "asked": str(at)},
        )


def not_reached(at: Token, position: Token) -> PositionNotReached:
    """The error that says where views are instead."""
    return PositionNotReached(
        f"the views are at {position}, before the position asked for",
        facts={"position": str(position), "asked": str(at)},
    )
