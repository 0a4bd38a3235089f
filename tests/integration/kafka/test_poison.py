"""What nobody can handle: kept, seen by command line and API, sent again after a fix; its neighbours go on."""

from __future__ import annotations

import asyncio
import shlex
from typing import Any, Final
from uuid import UUID, uuid4

import httpx
import msgspec
import pytest

from runfold_events import log_door
from runfold_events.contract import cloudevents, limits
from runfold_events.contract import commands as c
from runfold_events.contract.cloudevents import Record, command_record
from runfold_events.contract.envelope import RecordedEvent
from runfold_events.unreadable import REDRIVE_HEADER
from tests.integration.kafka.poison import forged, poison
from tests.integration.kafka.scene import EXPERIMENT, Scene, with_scene
from tests.support.markdown import commands_under
from tests.support.postgres_store import SERVICE_ROLE
from tests.support.program import RoleProcess
from tests.support.repository import ROOT

LIST_ALL: Final = ("unreadable", "list", "-o", "json", "--limit", "1000")
REDRIVE: Final = ("unreadable", "redrive", "-o", "json", "--wait", "30")
PAGE: Final = ROOT / "docs" / "recovery.md"
A_NAME: Final = "3-17"  # as the page writes it
HOPELESS: Final = "garbage"  # no fix makes a command of it


def tags_of(events: list[RecordedEvent]) -> list[dict[str, str]]:
    return [msgspec.json.decode(e.body or b"")["tags"] for e in events if e.type == "run.tags_set"]


def tag(scene: Scene, writer: UUID, number: int, run_id: str = "r") -> Record:
    return command_record(scene.submission(c.SetTags(run_id=run_id, tags={"n": str(number)}), writer, number))


async def pages(url: str, limit: int) -> list[dict[str, Any]]:
    """Everything that the API lists, page by page."""
    found: list[dict[str, Any]] = []
    after: dict[str, str] = {}
    async with httpx.AsyncClient(base_url=url) as client:
        while True:
            answer = await client.get("/api/v1/unreadable", params={"limit": str(limit), **after})
            assert answer.status_code == 200, answer.text
            page = answer.json()
            assert len(page["entries"]) <= limit
            found += page["entries"]
            if page.get("next") is None:
                return found
            after = {"after": page["next"]}


@with_scene(partitions=2)
async def test_poison_of_every_kind_is_kept_shown_and_sent_again_after_a_fix(scene: Scene) -> None:
    """With the roles as processes, the command line and the API, as somebody who operates them has them."""
    writer, neighbours = uuid4(), scene.run_id_in(0)
    await scene.create_runs(writer, neighbours)
    bad = poison(scene, writer)
    huge = Record(b"key", bytes(3 * limits.EVENT_BYTES_MAX), ())
    records: list[Record] = []
    for number, (record, _) in enumerate(bad.values()):
        records += [record, tag(scene, writer, number + 2, neighbours)]
    await scene.run("ledger", "migrate", "--service-role", SERVICE_ROLE, "--postgres", scene.dsn)
    with (
        await asyncio.to_thread(RoleProcess, "decider", scene.environment),
        await asyncio.to_thread(RoleProcess, "api", scene.environment) as api,
    ):
        offsets = await scene.send_raw(scene.settings.commands_topic, 0, records)
        cut = await scene.send_raw(scene.settings.commands_topic, 0, [huge], compression_type="gzip")
        await scene.all_handled()
        assert len(tags_of(await scene.events(0))) == len(bad), "every neighbour took effect"

        by_cli = (await scene.run(*LIST_ALL)).json
        assert [entry["offset"] for entry in by_cli] == [*offsets[::2], *cut]
        assert [entry["code"] for entry in by_cli] == [code for _, code in bad.values()] + ["invalid"]
        assert {entry["state"] for entry in by_cli[:-1]} == {"open"}
        assert by_cli[-1]["state"] == "cut"
        by_http = (await scene.run(*LIST_ALL, "--url", api.url)).json
        assert by_http == by_cli
        names = [entry["name"] for entry in by_cli]
        assert [entry["name"] for entry in await pages(api.url, 5)] == names
        name_of = dict(zip([*bad, "huge"], names, strict=True))
        await see_the_bytes(scene, api.url, name_of, bad)

        # The fixes: the run is made, the key's own partition is used. Garbage stays garbage, what was cut is gone.
        await scene.create_runs(uuid4(), scene.run_id_in(0, "none"), scene.run_id_in(1, "elsewhere"))
        done = (await scene.run(*REDRIVE, "--all", "--code", "not_found")).json
        assert [(one["name"], one["state"]) for one in done] == [(name_of["unknown run"], "handled")]
        (moved,) = (await scene.run(*REDRIVE, name_of["wrong partition"], "--url", api.url)).json
        assert (moved["partition"], moved["state"]) == (1, "handled")
        assert {"a": "b"} in tags_of(await scene.events(1))
        (again,) = (await scene.run(*REDRIVE, name_of[HOPELESS], expect=1)).json
        assert again["state"] == "kept again"
        refused = await scene.run(*REDRIVE, name_of["huge"], expect=2)
        assert "cannot be sent again" in refused.err

        left = (await scene.run(*LIST_ALL, "--open")).json
        gone = {name_of[what] for what in ("unknown run", "wrong partition", HOPELESS)}
        assert {entry["name"] for entry in left} == {*names, left[-1]["name"]} - gone
        assert left[-1]["key"] == "\x00\\xff", "the garbage, under a new name"


async def see_the_bytes(
    scene: Scene, url: str, name_of: dict[str, str], bad: dict[str, tuple[Record, str]]
) -> None:
    """All that came is shown, by the command line as text or hex digits, by the API as it is."""
    shown = (await scene.run("unreadable", "show", name_of["value is no JSON"], "-o", "json")).json
    record = bad["value is no JSON"][0]
    assert (shown["key"], shown["value"]) == (record.key.decode(), "{")
    assert {h["name"]: h["value"] for h in shown["headers"]} == {n: v.decode() for n, v in record.headers}
    table = await scene.run("unreadable", "show", name_of["garbage"], "-o", "table", "--url", url)
    assert "hex:00ff" in table.out
    async with httpx.AsyncClient(base_url=url) as client:
        for what in ("garbage", "oversize", "header is no UTF-8"):
            answer = await client.get(
                f"/api/v1/unreadable/{name_of[what]}", headers={"Accept": "application/msgpack"}
            )
            found = msgspec.msgpack.decode(answer.content)
            record = bad[what][0]
            assert (found["key"], found["value"]) == (record.key, record.value), what
            assert [tuple(header) for header in found["headers"]] == list(record.headers), what
        missing = await client.get("/api/v1/unreadable/0-99999")
        assert (missing.status_code, missing.json()["code"]) == (404, "not_found")


@with_scene(partitions=1)
async def test_only_an_admin_sees_what_was_kept(scene: Scene) -> None:
    tokens = {"RUNFOLD_TOKEN": "of-the-admin"}
    await scene.run("ledger", "migrate", "--service-role", SERVICE_ROLE, "--postgres", scene.dsn)
    with await asyncio.to_thread(RoleProcess, "api", scene.environment | tokens) as api:
        refused = await scene.run(*LIST_ALL, "--url", api.url, expect=5)
        assert "token" in refused.err
        assert (await scene.run(*LIST_ALL, "--url", api.url, environment=tokens)).json == []


@with_scene(partitions=1)
async def test_a_newer_program_handles_what_an_older_one_kept(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An older program knows no run.set_tags; a newer one knows version 2 of it, too."""
    writer = uuid4()
    await scene.create_runs(writer, "r")
    second = forged(tag(scene, writer, 3), ce_type=b"dev.runfold.run.set_tags.v2")
    with monkeypatch.context() as older:
        older.setattr(cloudevents, "_command_decoder", msgspec.json.Decoder(c.CreateRun | c.CompleteRun))
        await scene.send_raw(scene.settings.commands_topic, 0, [tag(scene, writer, 2), second])
        async with scene.deciding():
            await scene.all_handled()
    kept = (await scene.run(*LIST_ALL)).json
    assert [entry["type"] for entry in kept] == [
        "dev.runfold.run.set_tags.v1",
        "dev.runfold.run.set_tags.v2",
    ]
    async with scene.deciding():
        await scene.run(*REDRIVE, "--all", expect=1)
    plain_type = cloudevents.plain_type

    def newer(name: str) -> str:
        return plain_type(name.replace(".v2", ".v1"))

    monkeypatch.setattr(cloudevents, "plain_type", newer)
    async with scene.deciding():
        await scene.run(*REDRIVE, "--all")
    assert tags_of(await scene.events(0)) == [{"n": "2"}, {"n": "3"}]
    assert (await scene.run(*LIST_ALL, "--open")).json == []


@with_scene(partitions=1)
async def test_what_the_database_could_not_take_is_sent_again_and_takes_effect_once(scene: Scene) -> None:
    writer = uuid4()
    await scene.create_runs(writer, "r")
    await scene.sql(
        "CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "RAISE EXCEPTION 'cannot take this'; END $$",
        "CREATE TRIGGER fails BEFORE INSERT ON runfold.events FOR EACH ROW "
        "WHEN (NEW.type = 'run.tags_set' AND convert_from(NEW.body, 'UTF8') LIKE '%\"7\"%') "
        "EXECUTE FUNCTION public.refuse()",
        "SELECT 1",
    )
    async with scene.deciding() as decider:
        await scene.send_raw(
            scene.settings.commands_topic, 0, [tag(scene, writer, number) for number in range(2, 12)]
        )
        await scene.all_handled()
        assert decider.status.alarms == {}
        (kept,) = (await scene.run(*LIST_ALL)).json
        assert (kept["code"], "cannot take this" in kept["message"]) == ("error", True)
        assert await gaps(scene, writer) == ((7, 7),)
        await scene.run(*REDRIVE, kept["name"], expect=1)

        await scene.sql("DROP TRIGGER fails ON runfold.events", "SELECT 1")
        (kept,) = (await scene.run(*LIST_ALL, "--open")).json
        await scene.run(*REDRIVE, kept["name"])
        assert await gaps(scene, writer) == ()
        assert tags_of(await scene.events(0))[-1] == {"n": "7"}, "now, after what came meanwhile"

        # Twice does no harm: the writer's number is known. The command line asks before it does that.
        twice = await scene.run(*REDRIVE, kept["name"], expect=1)
        assert "--again" in twice.err
        await scene.send_raw(scene.settings.commands_topic, 0, [tag(scene, writer, 12)])
        await scene.run(*REDRIVE, kept["name"], "--again")
        assert tags_of(await scene.events(0))[-1] == {"n": "12"}
        # The control: the same under a number of its own takes effect once more, and sets the tag back.
        record = tag(scene, writer, 7)
        await scene.send_raw(scene.settings.commands_topic, 0, [forged(record, ce_writerseq=b"99")])
        await scene.all_handled()
    assert tags_of(await scene.events(0))[-1] == {"n": "7"}


async def gaps(scene: Scene, writer: UUID) -> tuple[tuple[int, int], ...]:
    (mark,) = [mark for mark in await scene.store.writers("w/run/r") if mark.writer_id == writer]
    return mark.gaps


@pytest.mark.parametrize("compares", [True, False], ids=["protected", "control"])
@with_scene(partitions=1)
async def test_a_forged_header_closes_nobodys_entry(
    scene: Scene, compares: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record that claims to be an entry's, with other bytes. The control believes it, and the entry seems handled."""
    writer = uuid4()
    await scene.create_runs(writer, "r")
    lost = command_record(scene.submission(c.CreateRun(run_id="r2", experiment="not-there"), writer, 1))
    async with scene.deciding():
        await scene.send_raw(scene.settings.commands_topic, 0, [lost])
        await scene.all_handled()
    (entry,) = (await scene.run(*LIST_ALL)).json
    if not compares:

        async def believe(*_: object) -> UUID:
            return UUID(entry["event_id"])

        monkeypatch.setattr(log_door, "redriven_entry", believe)
    claim = tag(scene, writer, 2)
    claim = Record(claim.key, claim.value, (*claim.headers, (REDRIVE_HEADER, entry["name"].encode())))
    async with scene.deciding():
        await scene.send_raw(scene.settings.commands_topic, 0, [claim])
        await scene.all_handled()
    assert tags_of(await scene.events(0)) == [{"n": "2"}], "it is a command like any other"
    (entry,) = (await scene.run(*LIST_ALL)).json
    assert entry["state"] == ("open" if compares else "handled")


@with_scene(partitions=1)
async def test_commands_that_came_too_early_are_sent_again_by_the_page(scene: Scene) -> None:
    """The run's experiment was missing: the run is not there either, nor what was said of it."""
    writer, run_id = uuid4(), "early"
    sent = [
        command_record(scene.submission(c.CreateRun(run_id=run_id, experiment=EXPERIMENT), writer, 1)),
        *(tag(scene, writer, number, run_id) for number in range(2, 6)),
    ]
    lines = commands_under(PAGE, "Somebody sent what nobody can handle")
    look, show, one, others = (shlex.split(line)[1:] for line in lines)
    async with scene.deciding():
        await scene.send_raw(scene.settings.commands_topic, 0, sent)
        await scene.all_handled()
        kept = (await scene.run(*look, "-o", "json")).json
        assert [entry["state"] for entry in kept] == ["open"] * 5
        assert (show.pop(), one.pop()) == (A_NAME, A_NAME)
        shown = (await scene.run(*show, kept[0]["name"], "-o", "json")).json
        assert shown["code"] == "not_found"
        await scene.create_runs(uuid4())
        done = (await scene.run(*one, kept[0]["name"], "-o", "json")).json
        done += (await scene.run(*others, "-o", "json")).json
    assert [entry["state"] for entry in done] == ["handled"] * 5
    assert tags_of(await scene.events(0)) == [{"n": str(number)} for number in range(2, 6)]
    (mark,) = [m for m in await scene.store.writers(f"w/run/{run_id}") if m.writer_id == writer]
    assert (mark.highest, mark.gaps) == (5, ())
