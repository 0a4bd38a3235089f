"""Take an exported ledger in: first read and check all of it, then append it stream by stream.

Everything goes through the store's own port, so an import can do nothing that appending cannot: partitions are locked
one at a time, positions are given out anew, the chain is the target's own. Two events in ``_system/0`` stand around
it. Between them the import is unfinished: it is refused to begin another, and the same file can go on where it stood.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final
from uuid import UUID

from msgspec import Struct
from msgspec.structs import force_setattr, replace

from runfold_events.contract.codec import decode_event
from runfold_events.contract.envelope import RecordedEvent, chain_value
from runfold_events.contract.errors import Conflict
from runfold_events.contract.events import ImportEnded, ImportStarted, SystemEvent
from runfold_events.contract.ids import partition_of, system_stream
from runfold_events.contract.statuses import TERMINAL, Status
from runfold_events.decision_state import encode_state
from runfold_events.failpoints import reach
from runfold_events.ports import Head, IdSource, Loaded, PartitionRow, Write, WriterMark
from runfold_events.rules.run_state import RunState
from runfold_events.standing import NO_STATE
from runfold_events.transfer.format import records_content
from runfold_events.transfer.ports import Movable
from runfold_events.transfer.reading import Item, LedgerFile, OpenStream
from runfold_events.work import Work

BATCH_LINES_MAX: Final = 1_000
BATCH_BODY_BYTES_MAX: Final = 8 * 1024 * 1024
NAMED_MAX: Final = 3  # of what lies in the way
PROGRESS_EVENTS: Final = 500
READ_SYSTEM_EVENTS: Final = 50
IMPORT_PARTITION: Final = 0  # whose system stream says what was imported

Progress = Callable[[int, int], None]  # events done so far, events in all


class Imported(Struct, frozen=True, kw_only=True):
    """What was done."""

    events: int  # appended now
    found: int  # that were here already, where an import went on
    artifacts: int  # recorded files, whose contents are not in the file
    streams: int
    run_numbers: int  # experiments whose numbers go on
    writer_marks: int
    sha256: str


class Phases(Struct, frozen=True):
    """Whom to tell how far the two ways through the file are."""

    checking: Progress | None = None
    importing: Progress | None = None


async def import_ledger(
    store: Movable, file: LedgerFile, ids: IdSource, *, resume: bool = False, phases: Phases | None = None
) -> Imported:
    """Append everything in ``file`` to ``store``.

    Ids, times, digests, writers and their numbers, and the order of each stream stay; partition, position, epoch and
    chain are the target's. Leases and holders do not move: a run that is Running goes on being so, held by nobody.

    Args:
        store: where nobody writes to the file's workspaces meanwhile.
        file: what ``export_ledger`` wrote.
        ids: for the two events that stand around the import.
        resume: go on with the import of this file that was interrupted here.
        phases: called now and then.

    Raises:
        Invalid: the file is not as it was written; nothing was changed.
        Conflict: the store has something of these workspaces, or an unfinished import; nothing was changed. With
            ``resume``: what is here is not what the file says.
        Unavailable: the store cannot be reached; what was appended stays, and ``resume`` goes on.
    """
    phases, log, header = phases or Phases(), ImportLog(store), file.header
    if not resume:
        await log.expect(None)
    sha256 = await _check(store, file, resume=resume, progress=phases.checking)
    if resume:
        await log.expect(sha256)
    else:
        started = ImportStarted(sha256=sha256, source_epoch=header.epoch, workspace=header.workspace)
        await log.note(started, ids, after=None)
    imported = await _Import(store, resume=resume, total=header.events, progress=phases.importing).run(file)
    ended = ImportEnded(sha256=sha256, events=imported.events + imported.found)
    await log.note(ended, ids, after=sha256)
    return imported


# ── before anything is changed ────────────────────────────────────────────────────────────────────────────


async def _check(store: Movable, file: LedgerFile, *, resume: bool, progress: Progress | None) -> str:
    """Read the file to its end; nothing of its workspaces may be here unless an import goes on. Returns its digest."""
    workspace, events = "", 0
    for item in file.items():
        if item.stream.workspace != workspace:
            workspace = item.stream.workspace
            if not resume:
                await _refuse_what_is_there(store, workspace)
        events += item.event is not None
        if progress is not None and events % PROGRESS_EVENTS == 0:
            progress(events, file.header.events)
    return file.sha256


async def _refuse_what_is_there(store: Movable, workspace: str) -> None:
    async with store.snapshot(workspace) as snapshot:
        events, _ = await snapshot.totals()
        there: list[str] = []
        async for stream in snapshot.streams():
            there.append(f"{stream.stream} ({stream.events} events)")
            if len(there) == NAMED_MAX:
                break
    if there:
        raise Conflict(
            f"the store has workspace {workspace} already, with {events} events: {', '.join(there)}, …; a workspace "
            "is imported whole, into a store that has nothing of it",
            facts={"workspace": workspace, "events": events, "streams": there},
        )


# ── the events around an import ───────────────────────────────────────────────────────────────────────────


class ImportLog:
    """What a store's own stream says of imports, read on where it was left: it may be long, and hold large records."""

    def __init__(self, store: Movable) -> None:
        self._store = store
        self._seq = 1
        self.unfinished: ImportStarted | None = None

    async def read_on(self) -> ImportStarted | None:
        """The import that began in this store and did not end."""
        stream = system_stream(IMPORT_PARTITION)
        while events := await self._store.read_stream(stream, self._seq, READ_SYSTEM_EVENTS):
            for event in events:
                body = decode_event(event)
                if isinstance(body, ImportStarted):
                    self.unfinished = body
                elif isinstance(body, ImportEnded):
                    self.unfinished = None
            self._seq = events[-1].stream_seq + 1
        return self.unfinished

    async def expect(self, sha256: str | None) -> None:
        """Raise ``Conflict`` unless the unfinished import is that of the file with ``sha256``; None: unless none is."""
        found = await self.read_on()
        there = None if found is None else found.sha256
        if there == sha256:
            return
        if there is None:
            what = "no import is unfinished here; import without --resume"
        elif sha256 is None:
            what = f"the import of the file with sha256 {there} did not end here; go on with --resume and that file"
        else:
            what = f"the import that did not end here is of a file with sha256 {there}; this one has {sha256}"
        raise Conflict(what, facts={"unfinished": there, "sha256": sha256})

    async def note(self, event: SystemEvent, ids: IdSource, *, after: str | None) -> None:
        """Append ``event`` if the unfinished import is that of the file with digest ``after``; nobody else can then."""
        stream = system_stream(IMPORT_PARTITION)
        async with self._store.transaction(IMPORT_PARTITION) as transaction:
            await self.expect(after)
            loaded = await transaction.load([stream], [])
            work = Work(self._store.epoch, transaction.row, loaded, ids, {})
            work.append_system(stream, event, ids.event_id(), None)
            await transaction.write(work.write())


# ── appending ─────────────────────────────────────────────────────────────────────────────────────────────


class _Part:
    """What a batch holds of one stream: some of its events that follow each other, and perhaps what comes after."""

    def __init__(self, stream: OpenStream) -> None:
        self.stream = stream
        self.events: list[RecordedEvent] = []
        self.marks: list[WriterMark] = []
        self.next_number: int | None = None
        self.line = 0

    def add(self, item: Item) -> None:
        self.line = self.line or item.line
        if item.event is not None:
            self.events.append(item.event)
        if item.mark is not None:
            self.marks.append(item.mark)
        self.next_number = item.next_number or self.next_number

    def head(self) -> Head:
        """The stream's head behind these events; the fold is as far as the last of them."""
        state = self.stream.fold.state
        return Head(
            self.stream.name, self.events[-1].stream_seq, NO_STATE if state is None else encode_state(state)
        )


class _Import:
    """One way through the file, in batches; each is one transaction a partition."""

    def __init__(self, store: Movable, *, resume: bool, total: int, progress: Progress | None) -> None:
        self._store = store
        self._resume = resume
        self._total = total
        self._progress = progress
        self._parts: dict[str, _Part] = {}
        self._lines = 0
        self._body_bytes = 0
        self._events = 0
        self._found = 0
        self._artifacts = 0
        self._streams = 0
        self._numbers = 0
        self._marks = 0

    async def run(self, file: LedgerFile) -> Imported:
        last = ""
        for item in file.items():
            self._streams += item.stream.name != last
            last = item.stream.name
            self._take(item)
            if self._lines >= BATCH_LINES_MAX or self._body_bytes >= BATCH_BODY_BYTES_MAX:
                await self._flush()
        await self._flush()
        return Imported(
            events=self._events,
            found=self._found,
            artifacts=self._artifacts,
            streams=self._streams,
            run_numbers=self._numbers,
            writer_marks=self._marks,
            sha256=file.sha256,
        )

    def _take(self, item: Item) -> None:
        name = item.stream.name
        part = self._parts.get(name)
        if part is None:
            part = self._parts[name] = _Part(item.stream)
        part.add(item)
        self._lines += 1
        self._numbers += item.next_number is not None
        self._marks += item.mark is not None
        if item.event is not None:
            self._artifacts += records_content(item.event)
            self._body_bytes += len(item.event.body or b"")

    async def _flush(self) -> None:
        by_partition: dict[int, list[_Part]] = {}
        for name, part in self._parts.items():
            by_partition.setdefault(partition_of(name, self._store.partitions), []).append(part)
        for partition, parts in sorted(by_partition.items()):
            await self._append(partition, parts)
            if self._progress is not None:
                self._progress(self._events + self._found, self._total)
        self._parts, self._lines, self._body_bytes = {}, 0, 0

    async def _append(self, partition: int, parts: Sequence[_Part]) -> None:
        await self._reserve_numbers(parts)
        streams = [part.stream.name for part in parts]
        writers = [(mark.stream, mark.writer_id) for part in parts for mark in part.marks]
        heads = await self._store.heads(streams)
        new = {part.stream.name: await self._missing(part, heads.get(part.stream.name)) for part in parts}
        reach("import.append.before")
        async with self._store.transaction(partition) as transaction:
            loaded = await transaction.load(streams, writers)
            if dict(loaded.heads) != heads:
                raise _changed_meanwhile(streams)
            missing = (event for part in parts for event in new[part.stream.name])
            events = _placed(transaction.row, self._store.epoch, missing)
            with_news = [part for part in parts if new[part.stream.name]]
            standing = _standing(with_news)
            await transaction.write(
                Write(
                    events=events,
                    heads=[part.head() for part in with_news],
                    marks=[mark for part in parts for mark in self._new_marks(part, loaded)],
                    lost=standing.lost,
                    found=standing.found,
                    ended=standing.ended,
                )
            )
        reach("import.append.after")
        announced = {
            (m.stream, m.writer_id): m.announced for part in parts for m in part.marks if m.announced
        }
        if announced:
            await self._store.announce(announced)
        self._events += len(events)
        self._found += sum(len(part.events) for part in parts) - len(events)

    async def _missing(self, part: _Part, head: Head | None) -> list[RecordedEvent]:
        """Those events of ``part`` that are not here yet; those that are must be the same."""
        if not part.events:
            return []
        first = part.events[0].stream_seq
        end = 0 if head is None else head.stream_seq
        if end == first - 1:
            return part.events
        if not self._resume or end < first:
            raise Conflict(
                f"line {part.line}: stream {part.stream.name} has {end} events here; "
                f"the file goes on with number {first}",
                facts={"line": part.line, "stream": part.stream.name, "stream_seq": end},
            )
        there = await self._store.read_stream(part.stream.name, first, len(part.events))
        for mine, theirs in zip(part.events, there, strict=False):
            if not is_same(mine, theirs):
                raise Conflict(
                    f"line {part.line + mine.stream_seq - first}: number {mine.stream_seq} of stream "
                    f"{part.stream.name} is another event here: {theirs.id}, not {mine.id}",
                    facts={"line": part.line, "stream": part.stream.name, "stream_seq": mine.stream_seq},
                )
        return part.events[len(there) :]

    def _new_marks(self, part: _Part, loaded: Loaded) -> list[WriterMark]:
        """Marks to be stored. What a writer has only announced is kept elsewhere."""
        new: list[WriterMark] = []
        for mark in part.marks:
            there = loaded.marks.get((mark.stream, mark.writer_id))
            if mark.highest == 0 or (there is not None and _level(there) == _level(mark)):
                continue
            if there is not None and there.highest > 0:
                raise Conflict(
                    f"line {part.line}: writer {mark.writer_id} of stream {mark.stream} has come to number "
                    f"{there.highest} here; the file says {mark.highest}",
                    facts={"stream": mark.stream, "writer_id": str(mark.writer_id)},
                )
            new.append(mark)
        return new

    async def _reserve_numbers(self, parts: Sequence[_Part]) -> None:
        """Before its runs are there, so that no new run of an experiment gets a number that one of them has."""
        wanted = {part.stream.name: part.next_number for part in parts if part.next_number is not None}
        if not wanted:
            return
        async with self._store.snapshot() as snapshot:
            there = await snapshot.run_numbers(list(wanted))
        for stream, next_number in wanted.items():
            count = next_number - there.get(stream, 1)
            if count > 0:
                await self._store.reserve_run_numbers(stream, count)


def _placed(row: PartitionRow, epoch: UUID, events: Iterable[RecordedEvent]) -> list[RecordedEvent]:
    """``events`` at the end of the target's partition; nothing else of them changes."""
    placed: list[RecordedEvent] = []
    chain = row.chain_head
    for pos, event in enumerate(events, row.next_pos):
        here = replace(event, partition=row.partition, pos=pos, epoch=epoch)
        chain = chain_value(chain, here)
        force_setattr(here, "chain", chain)
        placed.append(here)
    return placed


def is_same(mine: RecordedEvent, theirs: RecordedEvent) -> bool:
    """True when two events differ at most in what belongs to their stores: partition, position, epoch and chain."""
    return mine == replace(theirs, partition=mine.partition, pos=mine.pos, epoch=mine.epoch, chain=mine.chain)


def _level(mark: WriterMark) -> WriterMark:
    return replace(mark, announced=0)


class _Standing(Struct, frozen=True):
    """How runs stand: the lease keeper looks for holders of those that are lost, and for none of those that ended."""

    lost: list[str]
    found: list[str]
    ended: list[str]


def _standing(parts: Sequence[_Part]) -> _Standing:
    standing = _Standing([], [], [])
    for part in parts:
        state = part.stream.fold.state
        if not isinstance(state, RunState):
            continue
        if state.erased or state.status in TERMINAL:
            standing.ended.append(part.stream.name)
        elif state.status is Status.NOT_RESPONDING:
            standing.lost.append(part.stream.name)
        else:
            standing.found.append(part.stream.name)
    return standing


def _changed_meanwhile(streams: Sequence[str]) -> Conflict:
    return Conflict(
        f"somebody else writes to the streams of this import, such as {streams[0]}; stop them and go on with --resume",
        facts={"streams": list(streams[:NAMED_MAX])},
    )
