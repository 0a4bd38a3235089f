"""What docs/recovery.md says is what brings everything back: its own commands are run here, on real servers."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final
from uuid import UUID, uuid4

import asyncpg
import msgspec
import pytest

from runfold_events.contract import commands as c
from runfold_events.contract.errors import PositionNotReached
from runfold_events.contract.submission import Refused
from runfold_events.contract.tokens import Token
from runfold_events.ids_source import SystemIds
from runfold_events.ledger import Ledger
from runfold_events.log_door import LogRecord
from runfold_projections.stores.postgres import create_views_schema
from runfold_services import log_checks
from runfold_services import relay as relay_module
from runfold_services.compose.postgres import open_projector, open_server
from runfold_services.postgres_settings import PostgresSettings
from runfold_services.projector import Projector
from tests.integration.kafka.effects import LogWriter, expected, found
from tests.integration.kafka.scene import Scene, until, with_scene
from tests.integration.kafka.test_lost_logs import delete_before, handle_all, losses, recreate
from tests.support.markdown import commands_under
from tests.support.postgres_store import SERVICE_ROLE, as_service
from tests.support.program import Done, RoleProcess
from tests.support.repository import ROOT
from tests.support.stack import with_database

PAGE: Final = ROOT / "docs" / "recovery.md"
RESTORED: Final = "The database was restored to an earlier point"
REPLACED: Final = "The command topic was deleted and made again"
OVERTAKEN: Final = "Retention was faster than the deciders"


async def run_of_page(scene: Scene, line: str) -> Done:
    """A command of the page, with servers named as the page says."""
    words = shlex.split(line)
    assert words.pop(0) == "runfold"
    return await scene.run(*words, "-o", "json", environment={"RUNFOLD_POSTGRES_OWNER": scene.dsn})


def test_the_page_and_the_tests_know_the_same_commands() -> None:
    assert commands_under(PAGE, RESTORED) == ["runfold ledger restored", "runfold rebuild"]
    assert len(commands_under(PAGE, REPLACED)) == 2
    assert len(commands_under(PAGE, OVERTAKEN)) == 1


# A restored database


class Restoring:
    """A store whose database is copied at one time, and replaced by the copy later. Views are kept elsewhere."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.views = scene.stack.database()
        self.name = scene.dsn.rpartition("/")[2]

    async def prepare(self) -> None:
        """Make the place for views."""
        owner = await asyncpg.connect(self.views)
        try:
            await create_views_schema(owner, service_role=SERVICE_ROLE)
        finally:
            await owner.close()

    async def back_up(self) -> None:
        """Copy the database as it is; nobody may be connected."""
        await self.scene.store.close()
        await self._on_server(f'CREATE DATABASE "{self.name}_backup" TEMPLATE "{self.name}"')
        self.scene.store = await self.scene.open_store()

    async def restore(self) -> None:
        """Put the copy in its place."""
        await self.scene.store.close()
        await self._on_server(
            f'DROP DATABASE "{self.name}" WITH (FORCE)',
            f'ALTER DATABASE "{self.name}_backup" RENAME TO "{self.name}"',
        )
        self.scene.store = await self.scene.open_store()

    async def _on_server(self, *statements: str) -> None:
        connection = await asyncpg.connect(with_database(self.scene.dsn, "postgres"))
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    @asynccontextmanager
    async def projecting(self) -> AsyncGenerator[Projector]:
        """A projector at work."""
        async with open_projector(as_service(self.scene.dsn), views_dsn=as_service(self.views)) as projector:
            try:
                await projector.start()
                yield projector
            finally:
                await projector.stop()

    async def folded(self, projector: Projector) -> None:
        """Wait until views have all there is."""

        async def reached() -> bool:
            lag = await projector.lag()
            return bool(lag) and not any(view.positions for view in lag)

        await until(reached, "views at the end")

    async def tags(self, run_id: str, at: Token | None = None) -> dict[str, str | None]:
        """What the views answer."""
        server = await open_server(
            PostgresSettings(dsn=as_service(self.scene.dsn), views_dsn=as_service(self.views))
        )
        try:
            await server.views.reach(at, 0.1)
            return dict((await server.views.run(self.scene.workspace, run_id)).tags)
        finally:
            await server.close()


async def send_tags(scene: Scene, writer: UUID, run_id: str, numbers: Sequence[int]) -> None:
    producer = scene.producer()
    await producer.send(
        [scene.submission(c.SetTags(run_id=run_id, tags={f"n{n}": str(n)}), writer, n) for n in numbers]
    )
    await producer.stop()


async def work_through(scene: Scene, restoring: Restoring) -> None:
    """Have all handled, noted, published and folded."""
    async with restoring.projecting() as projector, scene.relaying():
        await handle_all(scene)
        await scene.published()
        await restoring.folded(projector)


def understood(records: Sequence[LogRecord]) -> dict[int, str]:
    """Event ids by position, as a reader of the topic keeps them who follows the rules for consumers."""
    kept: dict[int, str] = {}
    seen, epoch = -1, ""
    for record in records:
        told = {name: value.decode() for name, value in record.headers}
        pos = int(told["ce_sequence"])
        if told["ce_type"].startswith("dev.runfold.store.restored"):
            kept = {number: one for number, one in kept.items() if number < pos}
            seen, epoch = pos - 1, told["ce_epoch"]
        if pos > seen and (not epoch or told["ce_epoch"] == epoch):
            kept[pos], seen = told["ce_id"], pos
    return kept


@with_scene(partitions=1)
async def test_a_database_that_was_set_back_is_brought_back_by_the_page(scene: Scene) -> None:
    restoring, by_kafka, by_http = Restoring(scene), uuid4(), uuid4()
    await restoring.prepare()
    await scene.create_runs(by_kafka, "r")
    await send_tags(scene, by_kafka, "r", range(2, 10))
    await work_through(scene, restoring)
    await restoring.back_up()

    await send_tags(scene, by_kafka, "r", range(10, 20))
    ledger = Ledger(scene.store, SystemIds())
    http = scene.submission(c.SetTags(run_id="r", tags={"http": "yes"}), by_http, 1)
    await ledger.handle([http])
    await work_through(scene, restoring)
    old = Token(scene.store.epoch, dict(enumerate(await scene.store.ends())))
    assert (await restoring.tags("r", old))["http"] == "yes"

    await restoring.restore()
    before = await scene.events(0)
    for role in (scene.decider(), scene.relay()):
        assert (await scene.refused(role, "ledger restored")).code == "store_restored"
    async with restoring.projecting() as projector:
        await until(lambda: has_alarms(projector), "an alarm of the views")
        assert any("events are missing from the store" in words for words in projector.status.alarms.values())
    assert await scene.events(0) == before, "nobody has done anything"

    await scene.store.close()  # step 1 and 2
    restore, rebuild = commands_under(PAGE, RESTORED)
    done = (await run_of_page(scene, restore)).json
    assert done["previous_epoch"] == str(old.epoch)
    again = await scene.run("ledger", "restored", environment={"RUNFOLD_POSTGRES_OWNER": scene.dsn}, expect=1)
    assert "--force" in again.err
    scene.store = await scene.open_store()
    async with restoring.projecting() as projector:
        await until(lambda: has_alarms(projector), "an alarm of the views")
    await rebuild_of_page(scene, restoring, rebuild)
    await work_through(scene, restoring)

    tags = await restoring.tags("r")
    assert tags == {f"n{n}": str(n) for n in range(2, 20)}, "all that came by Kafka, and nothing else"
    (mark,) = [m for m in await scene.store.writers("w/run/r") if m.writer_id == by_kafka]
    assert (mark.highest, mark.gaps) == (19, ())
    bodies = [event.body for event in await scene.events(0) if event.type == "run.tags_set"]
    effects = [name for body in bodies for name in tag_names(body)]
    assert effects == [f"n{n}" for n in range(2, 20)], "each once, in order"
    topic = await scene.read_topic(scene.settings.events_topic, 0)
    assert understood(topic) == {event.pos: str(event.id) for event in await scene.events(0)}
    with pytest.raises(PositionNotReached):
        await restoring.tags("r", old)
    # What came by HTTP is gone, and its writer hears of it with the next number.
    later = scene.submission(c.SetTags(run_id="r", tags={"http": "later"}), by_http, 2)
    (outcome,) = await Ledger(scene.store, SystemIds()).handle([later])
    assert isinstance(outcome, Refused)
    assert (outcome.code, outcome.facts["expected"]) == ("sequence_gap", 1)


def tag_names(body: bytes | None) -> list[str]:
    return list(msgspec.json.decode(body or b"")["tags"])


async def has_alarms(projector: Projector) -> bool:
    return bool(projector.status.alarms)


async def rebuild_of_page(scene: Scene, restoring: Restoring, line: str) -> None:
    words = shlex.split(line)
    assert words.pop(0) == "runfold"
    places = {
        "RUNFOLD_POSTGRES": as_service(scene.dsn),
        "RUNFOLD_POSTGRES_VIEWS": as_service(restoring.views),
    }
    done = await scene.run(*words, "-o", "json", environment=places)
    assert done.code == 0, done


@pytest.mark.parametrize("checks", [True, False], ids=["protected", "control"])
@with_scene(partitions=1)
async def test_without_the_epoch_a_restored_store_forks_the_topic(
    scene: Scene, checks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control's relay goes on after what the topic holds, as if the store were the one it was."""
    restoring, writer = Restoring(scene), uuid4()
    await scene.create_runs(writer, "r")
    await restoring.back_up()
    await send_tags(scene, writer, "r", range(2, 6))
    async with scene.relaying():
        await handle_all(scene)
        await scene.published()
    await restoring.restore()
    async with scene.sink_of_its_own() as sink:
        last = await sink.last(0)
    assert last is not None

    async def go_on(*_: object, **__: object) -> int:
        return last.pos + 1

    if checks:
        await scene.store.close()
        await run_of_page(scene, commands_under(PAGE, RESTORED)[0])
        scene.store = await scene.open_store()
    else:
        monkeypatch.setattr(relay_module, "resume_position", go_on)
    # Others than those that the topic announced, and more of them.
    other = uuid4()
    await Ledger(scene.store, SystemIds()).handle(
        [scene.submission(c.SetTags(run_id="r", tags={f"m{n}": "x"}), other, n) for n in range(1, 12)]
    )
    ends = await scene.store.ends()
    async with scene.relaying():
        await until(lambda: at_end(scene, ends), "the topic's end")
    topic = understood(await scene.read_topic(scene.settings.events_topic, 0))
    stored = {event.pos: str(event.id) for event in await scene.events(0)}
    assert (topic == stored) is checks, "readers of the topic and the store agree"


async def at_end(scene: Scene, ends: tuple[int, ...]) -> bool:
    async with scene.sink_of_its_own() as sink:
        last = await sink.last(0)
    return last is not None and last.pos == ends[0] - 1


# Logs


@with_scene(partitions=1)
async def test_a_topic_that_was_made_anew_is_taken_by_the_page(scene: Scene) -> None:
    writer = LogWriter(scene, 0, uuid4())
    await writer.prepare()
    await writer.send(30)
    await handle_all(scene)
    before = await found(scene, 0)
    await recreate(scene)
    await writer.send(40)
    refusing = await asyncio.to_thread(RoleProcess, "decider", scene.environment, ends_itself=True)
    assert (await asyncio.to_thread(refusing.end), "RUNFOLD_KAFKA_ADOPTS_LOG=yes" in refusing.log) == (
        1,
        True,
    )
    assert await found(scene, 0) == before

    adopt, look = commands_under(PAGE, REPLACED)
    setting, *words = shlex.split(adopt)
    assert words == ["runfold", "serve", "decider"]
    adopting = scene.environment | dict([setting.split("=")])
    with await asyncio.to_thread(RoleProcess, "decider", adopting):
        await scene.all_handled()
    with await asyncio.to_thread(RoleProcess, "decider", scene.environment):
        await writer.send(3)
        await scene.all_handled()
    assert await found(scene, 0) == before + await expected(scene, 0)
    (entry,) = (await run_of_page(scene, look)).json
    assert (entry["state"], entry["facts"]) == ("lost", {"first": 30, "last": 29})
    assert "from offset 30 on is lost" in entry["message"]


@with_scene(partitions=1)
async def test_without_the_cursors_record_a_topic_made_anew_is_skipped_in_silence(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control of the refusal above: only the last handled record tells the two topics apart."""
    writer = LogWriter(scene, 0, uuid4())
    await writer.prepare()
    await writer.send(30)
    await handle_all(scene)
    await recreate(scene)
    await writer.send(40)

    def same(*_: object) -> bool:
        return True

    monkeypatch.setattr(log_checks, "_is_marked", same)
    before = await found(scene, 0)
    await handle_all(scene)
    assert len(await found(scene, 0)) == len(before) + 10, "thirty of forty commands never took effect"
    assert await losses(scene) == [], "and nothing says so"


@pytest.mark.parametrize("records", [True, False], ids=["protected", "control"])
@with_scene(partitions=1)
async def test_what_retention_took_is_listed_by_the_page(
    scene: Scene, records: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control goes on at the first record there is, as a consumer does that resets to the earliest offset."""
    writer = LogWriter(scene, 0, uuid4())
    await writer.prepare()
    await writer.send(10)
    await handle_all(scene)
    await writer.send(20)
    await delete_before(scene, 25)
    decider = scene.decider()
    if not records:

        async def skip(partition: int, *, next_offset: int, **_: Any) -> bool:
            await scene.sql(f"UPDATE runfold.partitions SET next_offset = {next_offset} RETURNING 1")
            return True

        monkeypatch.setattr(decider._door, "record_loss", skip)  # pyright: ignore[reportPrivateUsage]
    async with scene.deciding(decider):
        await scene.all_handled()
    (look,) = commands_under(PAGE, OVERTAKEN)
    entries = (await run_of_page(scene, look)).json
    facts = [(entry["state"], entry["facts"]) for entry in entries]
    assert facts == ([("lost", {"first": 10, "last": 24})] if records else [])
    assert (await found(scene, 0))[10:] == await expected(scene, 0)
