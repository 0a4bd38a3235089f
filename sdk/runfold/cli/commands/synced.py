"""What ``runfold sync`` does, and how it is shown."""

# The SDK's own modules are friends of one another.
# pyright: reportPrivateUsage=false

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console, Group, RenderableType
from rich.text import Text

from runfold._spool import Place, read_owner, spools_in
from runfold.cli.answer import Answer
from runfold.cli.commands.upkeep import progress_bar
from runfold.cli.exits import Exit
from runfold.cli.render.columns import Column, table
from runfold.cli.render.text import plural, styled
from runfold.cli.session import Session
from runfold_events.contract.errors import Invalid

if TYPE_CHECKING:
    from runfold._drain import Drained
    from runfold._settings import Settings
    from runfold._transport import Transport
    from runfold._verify import Checked

_DELIVERED: Final = (
    Column("WRITER", cells_min=8),
    Column("PROGRAM", drop=1, cells_min=10),
    Column("VALUES", right=True),
    Column("COMMANDS", right=True),
    Column("REFUSED", right=True, drop=2),
    Column("IN DOUBT", right=True, drop=3),
    Column("DAMAGED BYTES", right=True, drop=4),
    Column("LEFT", wrap=True, cells_min=10),
)
_CHECKED: Final = (
    Column("RUN", cells_min=12),
    Column("WRITER", drop=1, cells_min=8),
    Column("SENT", right=True),
    Column("STORED", right=True),
    Column("WAITING", right=True, drop=2),
    Column("DECLARED LOST", drop=3),
    Column("MISSING", wrap=True, cells_min=10),
)


def deliver(session: Session) -> tuple[Answer, Exit]:
    """Deliver what waits for the place that the options name."""
    from runfold._drain import drain

    with _opened(session) as (place, transport, settings):
        folder = _folder(place)
        with progress_bar(session, "delivering", "values") as progress:
            drained = list(drain(folder, lambda: transport, progress=progress))
        living, elsewhere = _living(folder), _elsewhere(place, settings)
    code = Exit.OK
    if any(one.refused or one.in_doubt for one in drained):
        code = Exit.REFUSED
    if any(not one.is_done for one in drained):
        code = Exit.UNAVAILABLE
    data = {
        "place": place.target,
        "folder": str(folder),
        "spools": [_drained_data(one) for one in drained],
        "waiting_spools": sum(1 for _ in spools_in(folder)),
        "waiting_elsewhere": elsewhere,
    }
    return Answer(data, lambda console: _shown(console, place, drained, living, elsewhere), _FIELDS), code


_FIELDS: Final = ("place", "folder", "spools", "waiting_spools", "waiting_elsewhere")


def verify(session: Session) -> tuple[Answer, Exit]:
    """Compare what writers remember with what the store knows."""
    from runfold._verify import verify as compare

    with _opened(session) as (place, transport, _), progress_bar(session, "asking", "writers") as progress:
        checked = list(compare(_folder(place), transport, progress))
    is_complete = all(one.is_complete for one in checked)
    data = {
        "place": place.target,
        "is_complete": is_complete,
        "writers": [_checked_data(one) for one in checked],
    }
    answer = Answer(data, lambda console: _proof(console, checked), ("place", "is_complete", "writers"))
    return answer, Exit.OK if is_complete else Exit.REFUSED


@contextmanager
def _opened(session: Session) -> Generator[tuple[Place, Transport, Settings]]:
    """The place, and a way to it that has no spool of its own."""
    from runfold._settings import load_settings
    from runfold._spool_place import place_of
    from runfold._workspace import open_transport

    settings = load_settings()
    _, url, home = session.place()
    home = (home or settings.home).expanduser().absolute()
    transport = open_transport(url, settings.token, home, settings)
    try:
        yield place_of(url, home, settings), transport, settings
    finally:
        transport.close()


def _folder(place: Place) -> Path:
    if place.folder is None:
        raise Invalid(
            "RUNFOLD_SPOOL=off: nothing is kept here, so nothing can be delivered or proved",
            facts={"field": "RUNFOLD_SPOOL", "limit": "a folder", "size": "off"},
        )
    return place.folder


def _living(folder: Path) -> int:
    """Spools that are left because their processes live."""
    return sum(1 for _ in spools_in(folder))


def _elsewhere(place: Place, settings: Settings) -> list[dict[str, Any]]:
    """Other servers that something waits for; their credentials are not for us to send."""
    from runfold._spool_place import server_spools

    counts: dict[str, int] = {}
    try:
        folders = sorted(server_spools(settings).iterdir())
    except OSError:
        return []
    for folder in folders:
        for spool in spools_in(folder):
            owner = read_owner(spool)
            if owner is not None and owner.target != place.target:
                counts[owner.target] = counts.get(owner.target, 0) + 1
    return [{"place": target, "spools": count} for target, count in counts.items()]


def _drained_data(one: Drained) -> dict[str, Any]:
    return {
        "writer_id": str(one.writer_id),
        "program": one.program,
        "values": one.values,
        "commands": one.commands,
        "refused": one.refused,
        "in_doubt": one.in_doubt,
        "damaged_bytes": one.damaged_bytes,
        "left_values": one.left_values,
        "problem": one.problem or None,
    }


def _shown(
    console: Console, place: Place, drained: Sequence[Drained], living: int, elsewhere: list[dict[str, Any]]
) -> RenderableType:
    parts: list[RenderableType] = []
    if drained:
        rows = [
            [
                styled(str(one.writer_id)),
                styled(Path(one.program).name or "-"),
                Text(f"{one.values:,}"),
                Text(f"{one.commands:,}"),
                Text(str(one.refused or "-"), style="red" if one.refused else ""),
                Text(str(one.in_doubt or "-")),
                Text(str(one.damaged_bytes or "-")),
                Text("-") if one.is_done else styled(f"{one.left_values:,} values: {one.problem}", "red"),
            ]
            for one in drained
        ]
        parts += [table(console, _DELIVERED, rows), ""]
    values = sum(one.values for one in drained)
    done = all(one.is_done for one in drained)
    sign = Text("✓", style="green") if done else Text("✗", style="red")
    said = f"{values:,} values of {plural(len(drained), 'spool')} delivered to {place.target}"
    parts.append(Text.assemble(sign, " ", said if drained else f"nothing waits for {place.target}"))
    if any(one.refused for one in drained):
        parts.append(styled(f"refused for good: see {_folder(place) / 'refused.jsonl'}", "dim"))
    if living and done:
        parts.append(styled(f"left alone: {plural(living, 'spool')} of processes that live", "dim"))
    for other in elsewhere:
        where = other["place"]
        option = f"--url {where}" if "://" in where else f"--home {where}"
        parts.append(styled(f"more waits for {where}: runfold sync {option}", "dim"))
    return Group(*parts)


def _checked_data(one: Checked) -> dict[str, Any]:
    return {
        "workspace": one.workspace,
        "run_id": one.run_id,
        "writer_id": str(one.writer_id),
        "sent": one.sent,
        "stored": one.stored,
        "waiting": one.waiting,
        "declared_lost": [list(numbers) for numbers in one.lost],
        "missing": [list(numbers) for numbers in one.missing],
        "note": one.note or None,
    }


def _proof(console: Console, checked: Sequence[Checked]) -> RenderableType:
    rows = [
        [
            styled(one.run_id),
            styled(str(one.writer_id)),
            Text(str(one.sent)),
            Text(str(one.stored)),
            Text(str(one.waiting or "-")),
            Text(_ranges(one.lost)),
            Text(
                _ranges(one.missing) + (f" ({one.note})" if one.note else ""), style="red" * bool(one.missing)
            ),
        ]
        for one in checked
    ]
    bad = [one for one in checked if not one.is_complete]
    commands = sum(one.sent for one in checked)
    if bad:
        end = Text.assemble(
            ("✗ missing", "bold red"), f"  numbers of {plural(len(bad), 'writer')} are not stored"
        )
    else:
        end = Text.assemble(
            ("✓ complete", "green"),
            f"  every number of {plural(len(checked), 'writer')} is stored: {plural(commands, 'command')}",
        )
    return Group(table(console, _CHECKED, rows), "", end) if rows else end


def _ranges(ranges: Sequence[tuple[int, int]]) -> str:
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in ranges) or "-"
