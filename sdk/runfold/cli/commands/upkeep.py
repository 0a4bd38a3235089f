"""Work on the store itself: rebuild views, check the chain; on the embedded ledger's file also vacuum."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console, Group, RenderableType
from rich.text import Text

from runfold.cli.answer import Answer
from runfold.cli.commands.places import LedgerStore, on_store, place_of, postgres_of
from runfold.cli.render.columns import Column, table
from runfold.cli.render.facts import facts_table
from runfold.cli.render.text import plural, styled
from runfold.cli.servers import server_extra
from runfold.cli.session import Session
from runfold_events.contract.errors import Invalid, NotFound
from runfold_events.sync import run_sync

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress

    from runfold_events.check import Report
    from runfold_services.compose import EmbeddedTracker
    from runfold_services.postgres_settings import PostgresSettings

SPOOLS_WAIT_S_MAX: Final = 5.0  # for programs that log to become idle for FORGET_S
_SPOOLS_LOOK_S: Final = 0.05

Progress = Callable[[int, int], None]
Rebuilt = tuple[dict[str, str], list[str], int]  # where, which projections there are, events folded

_DAMAGE: Final = (
    Column("PARTITION", right=True),
    Column("POSITION", right=True),
    Column("WHAT", wrap=True, cells_min=30),
)


def rebuild(session: Session, names: tuple[str, ...], postgres: str | None) -> Answer:
    """Fold views anew; says how many events that were."""
    settings = postgres_of(session, postgres)
    if settings is None:
        place, known, folded = _rebuild_embedded(session, names)
    else:
        place, known, folded = _rebuild_server(session, names, settings)
    facts = {**place, "projections": list(names) or known, "events_folded": folded}
    shown = {**facts, "projections": ", ".join(names or known)}
    return Answer(facts, lambda console: facts_table(shown), tuple(facts))


def _rebuild_embedded(session: Session, names: tuple[str, ...]) -> Rebuilt:
    with opened(session, "rebuild") as (home, tracker):
        states = run_sync(tracker.views.states())
        known = list(dict.fromkeys(state.projection for state in states))
        check_names(names, known)
        with progress_bar(session, "folding") as progress:
            return {"home": str(home)}, known, run_sync(tracker.rebuild(names, progress))


def _rebuild_server(session: Session, names: tuple[str, ...], settings: PostgresSettings) -> Rebuilt:
    from runfold_projections.views import all_projections

    with server_extra():
        from runfold_services.compose.postgres import rebuild_views

    known = [projection.name for projection in all_projections()]
    check_names(names, known)
    with progress_bar(session, "folding") as progress:
        folding = rebuild_views(settings.dsn, names, views_dsn=settings.views_dsn, progress=progress)
        return {"postgres": place_of(settings.views_dsn or settings.dsn)}, known, asyncio.run(folding)


def check_names(names: tuple[str, ...], known: list[str]) -> None:
    """Raise ``Invalid`` for a projection that there is not."""
    for name in names:
        if name not in known:
            raise Invalid(
                f"there is no projection {name!r}; there are: {', '.join(known)}",
                facts={"field": "--projection", "limit": known, "size": name},
            )


def check(session: Session, postgres: str | None) -> tuple[Answer, bool]:
    """Recompute digests and chain; the answer, and whether all is well."""
    from runfold_events.check import check_ledger

    async def work(store: LedgerStore) -> Report:
        with progress_bar(session, "checking") as progress:
            return await check_ledger(store, progress)

    place, report = on_store(session, "ledger check", postgres, work)
    data = {**place, **_report_data(report)}
    return Answer(data, lambda console: _report(console, report), _REPORT_COLUMNS), report.is_sound


_REPORT_COLUMNS: Final = ("is_sound", "events", "damage", "findings")


def _report_data(report: Report) -> dict[str, Any]:
    return {
        "is_sound": report.is_sound,
        "events": report.events,
        "ends": list(report.ends),
        "chain_heads": [head.hex() for head in report.chain_heads],
        "damage": [
            {"partition": one.partition, "position": one.pos, "what": one.what} for one in report.damage
        ],
        "findings": list(report.findings),
        "is_cut": report.is_cut,
    }


def _report(console: Console, report: Report) -> RenderableType:
    if report.is_sound:
        heads = ", ".join(
            f"{head.hex()[:16]}… at {end}" for head, end in zip(report.chain_heads, report.ends, strict=True)
        )
        return Group(
            Text.assemble(
                ("✓ sound", "green"), f"  {plural(report.events, 'event')}, every digest and the chain"
            ),
            styled(f"chain: {heads}", "dim"),
        )
    parts: list[RenderableType] = [Text("✗ damaged", style="bold red"), ""]
    if report.damage:
        rows = [[Text(str(one.partition)), Text(str(one.pos)), styled(one.what)] for one in report.damage]
        parts.append(table(console, _DAMAGE, rows))
    parts += [styled(f"- {finding}") for finding in report.findings]
    if report.is_cut:
        parts.append(Text("… and more", style="dim"))
    return Group(*parts)


def vacuum(session: Session) -> Answer:
    """Rewrite the file; says how large it was and is."""
    from runfold_services.compose import ledger_path

    with opened(session, "ledger vacuum") as (home, tracker):
        before = _bytes(ledger_path(home))
        run_sync(tracker.sweep_files())
        run_sync(tracker.vacuum())
        after = _bytes(ledger_path(home))
    _wait_for_spools(session, home)
    facts = {"home": str(home), "bytes_before": before, "bytes_after": after}
    return Answer(facts, lambda console: facts_table(facts), tuple(facts))


def _wait_for_spools(session: Session, home: Path) -> None:
    """Programs that are logging keep what they have delivered until they are idle for a second: nothing is left then.

    Which of them hold something all the same is said.
    """
    from runfold._settings import load_settings
    from runfold._spool import holds_calls, read_owner, spools_in
    from runfold._spool_place import place_of as spools_of

    folder = spools_of(None, home, load_settings()).folder
    ends_at = time.monotonic() + SPOOLS_WAIT_S_MAX
    while holding := [] if folder is None else list(filter(holds_calls, spools_in(folder))):
        if time.monotonic() >= ends_at:
            break
        time.sleep(_SPOOLS_LOOK_S)
    for spool in holding:
        owner = read_owner(spool)
        session.output.note(
            f"runfold: {spool} still holds what {'a program' if owner is None else f'process {owner.pid}'} logged: it "
            "goes when that process is idle or ends; `runfold sync` delivers what a dead one has left"
        )


def _bytes(path: Path) -> int:
    return sum(
        part.stat().st_size for part in path.parent.glob(f"{path.name}*") if not part.name.endswith("-shm")
    )


@contextmanager
def opened(
    session: Session, purpose: str, *, creates: bool = False
) -> Generator[tuple[Path, EmbeddedTracker]]:
    """The embedded ledger of this session; ``creates``: made where there is none.

    Raises:
        Invalid: the options name a server.
        NotFound: there is no ledger in the home.
    """
    from runfold._settings import load_settings
    from runfold_services.compose import ledger_path, open_embedded

    home = session.home(f"runfold {purpose}")
    if not creates and not ledger_path(home).exists():
        raise NotFound(
            f"there is no ledger in {home}; --home DIR or RUNFOLD_HOME says where it is",
            facts={"field": "--home", "size": str(home)},
        )
    tracker = open_embedded(home, background=False, files=load_settings().files)
    try:
        yield home, tracker
    finally:
        run_sync(tracker.close())


@contextmanager
def progress_bar(session: Session, what: str, unit: str = "events") -> Generator[Progress]:
    """A bar on stderr for people; nothing for programs."""
    with progress_bars(session, what, unit=unit) as (bar,):
        yield bar


@contextmanager
def progress_bars(session: Session, *whats: str, unit: str = "events") -> Generator[tuple[Progress, ...]]:
    """Bars for what is done one after the other; each shows once it begins."""
    from rich import progress as bars

    console = Console(file=session.output.err, highlight=False)
    columns = (
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        bars.TextColumn(unit),
        bars.TimeElapsedColumn(),
        bars.TimeRemainingColumn(),
    )
    with bars.Progress(
        *columns, console=console, transient=True, disable=session.options.quiet or not console.is_terminal
    ) as bar:
        yield tuple(_progress_of(bar, what, is_first=what == whats[0]) for what in whats)


def _progress_of(bar: RichProgress, what: str, *, is_first: bool) -> Progress:
    task = bar.add_task(what, total=None, visible=is_first)
    return lambda done, total: bar.update(task, completed=done, total=total, visible=True)
