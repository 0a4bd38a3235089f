"""Arithmetic of writer marks: which of a writer's numbers the store knows. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from runfold_events.ports import Range, WriterMark


def within(number: int, ranges: Sequence[Range]) -> bool:
    """True when ``number`` lies in one of ``ranges``."""
    return any(first <= number <= last for first, last in ranges)


def is_known(mark: WriterMark, number: int) -> bool:
    """At most the highest, and in no gap."""
    return number <= mark.highest and not within(number, mark.gaps)


def taken(mark: WriterMark, number: int) -> WriterMark:
    """The mark after command ``number``, which was not known: the next one, one in a gap, or one beyond a new gap.

    The digest stays: where the highest number moved, whoever has that command replaces it.
    """
    return _covered(mark, number, number)


def declared_lost(mark: WriterMark, first: int, last: int) -> WriterMark:
    """The mark after its writer declared ``first`` to ``last`` lost, with a command numbered ``first``."""
    return replace(_covered(mark, first, last), lost=_joined(mark.lost, (first, last)))


def _covered(mark: WriterMark, first: int, last: int) -> WriterMark:
    if first == mark.highest + 1:
        return replace(mark, highest=last)
    gaps = _without(mark.gaps, (first, last))
    if first > mark.highest + 1:
        gaps = (*gaps, (mark.highest + 1, first - 1))
    if last < mark.highest:  # it closed a gap; the highest command stays the one to compare with
        return replace(mark, gaps=gaps)
    return replace(mark, gaps=gaps, highest=last)


def _without(ranges: Sequence[Range], hole: Range) -> tuple[Range, ...]:
    """``ranges`` with the numbers of ``hole`` taken out."""
    left: list[Range] = []
    for first, last in ranges:
        if first < hole[0]:
            left.append((first, min(last, hole[0] - 1)))
        if last > hole[1]:
            left.append((max(first, hole[1] + 1), last))
    return tuple(left)


def _joined(ranges: Sequence[Range], new: Range) -> tuple[Range, ...]:
    """``ranges`` with ``new``, in order, joined where they touch."""
    joined: list[Range] = []
    for first, last in sorted([*ranges, new]):
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(last, joined[-1][1]))
        else:
            joined.append((first, last))
    return tuple(joined)
