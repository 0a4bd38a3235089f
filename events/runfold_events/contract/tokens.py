"""Position tokens: ``epoch:partition=pos,…``, what an answer carries and a query may wait for.

``pos`` is an end, exclusive: ``e:0=5`` means that positions 0 to 4 of partition 0 are included.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from uuid import UUID

from msgspec import Struct

from runfold_events.contract import limits
from runfold_events.contract.errors import Invalid


class Token(Struct, frozen=True):
    """A vector of ends within one store epoch; partitions that are absent are not asked for."""

    epoch: UUID
    ends: Mapping[int, int]

    def __str__(self) -> str:
        return f"{self.epoch}:" + ",".join(
            f"{partition}={end}" for partition, end in sorted(self.ends.items())
        )

    def merge(self, other: Token) -> Token:
        """The later of both, partition by partition; a token of another epoch replaces this one."""
        if other.epoch != self.epoch:
            return other
        ends = dict(self.ends)
        for partition, end in other.ends.items():
            ends[partition] = max(end, ends.get(partition, 0))
        return Token(self.epoch, ends)


def parse_token(text: str, field: str = "Runfold-Position") -> Token:
    """Read a token; raises :class:`Invalid` that names ``field`` when the text is none."""
    try:
        epoch, _, rest = text.partition(":")
        pairs = [part.split("=", 1) for part in rest.split(",") if part]
        ends = {int(partition): int(end) for partition, end in pairs}
        if any(not 0 <= p < limits.SLICES or not 0 <= end <= limits.INT64_MAX for p, end in ends.items()):
            raise ValueError
        return Token(UUID(epoch), ends)
    except ValueError:
        raise Invalid(
            f"{field} is not a position token (epoch:partition=pos,…): {text[:80]!r}",
            facts={"field": field, "limit": "epoch:partition=pos,…", "size": text[:80]},
        ) from None


def merged_tokens(texts: Iterable[str]) -> Token | None:
    """One token that includes all of ``texts``; None where there is none.

    Ten thousand outcomes of one request have as many tokens, of a few partitions: only the last of each is read.
    """
    ends: dict[str, int] = {}  # by all that stands before a position: store and partition
    for text in texts:
        head, _, end = text.rpartition("=")
        ends[head] = max(int(end), ends.get(head, 0))
    merged: Token | None = None
    for head, last in ends.items():
        token = parse_token(f"{head}={last}")
        merged = token if merged is None else merged.merge(token)
    return merged
