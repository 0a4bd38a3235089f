"""EraseRun: the bodies go, the places stay, the chain still checks, later commands are refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import pytest
from msgspec import Raw

from runfold_events.contract import commands as c
from runfold_events.contract.commands import Command
from runfold_events.contract.envelope import CHAIN_START, check_events
from runfold_events.decision_state import run_state_of
from runfold_events.sync import run_sync
from tests.support.checker import check_store
from tests.support.ledgers import A, B, Desk, desk, event_types, refused, run, taken

SECRET: Final = "s3cret"
ERASE: Final = c.EraseRun(run_id="r", reason="asked")


@pytest.fixture(params=[1, 16], ids=["one partition", "16 partitions"])
def store(request: pytest.FixtureRequest) -> Iterator[Desk]:
    """A store with the run ``r``, full of secrets, and its child ``c``; checked in every way afterwards."""
    with desk(partitions=request.param) as opened:
        opened.ensure()
        opened.create("r", tags={SECRET: SECRET}, display_name=SECRET)
        opened.create("c", parent_run_id="r")
        commands: list[Command] = [
            c.AddProperties(run_id="r", properties={"p": SECRET}),
            c.AddProperties(run_id="r", properties={"p": "other " + SECRET}),
            c.LogMetrics(run_id="r", batch=Raw(b'{"series":[]}')),
        ]
        for number, command in enumerate(commands, start=1):
            opened.send(A, number, command)
        yield opened
        check_store(opened.store)


def test_every_body_before_it_is_gone_and_every_place_stays(store: Desk) -> None:
    before = store.stream_events(run("r"))
    assert event_types(taken(store.send(B, 1, ERASE))) == ["erased"]
    *old, last = store.stream_events(run("r"))
    assert {(event.body, event.salt) for event in old} == {(None, None)}
    for was, now in zip(before, old, strict=True):
        names = set(type(was).__struct_fields__) - {"body", "salt"}
        assert {name: getattr(was, name) for name in names} == {name: getattr(now, name) for name in names}
    assert last.body is not None
    assert b'"Running"' in last.body


def test_nothing_of_its_content_is_left(store: Desk) -> None:
    store.send(B, 1, ERASE)
    everything = [event.body or b"" for event in store.all_events()]
    head = run_sync(store.store.heads([run("r")]))[run("r")]
    marks = run_sync(store.store.writers(run("r")))
    assert SECRET.encode() not in b"".join([*everything, head.state])
    assert {mark.digest for mark in marks if mark.writer_id == A} == {None}


def test_the_chain_still_checks(store: Desk) -> None:
    store.send(B, 1, ERASE)
    for partition in range(store.store.partitions):
        events = store.partition_events(partition)
        damage, _ = check_events(events, partition=partition, from_pos=0, previous_chain=CHAIN_START)
        assert damage == []


def test_a_stub_is_left(store: Desk) -> None:
    store.send(B, 1, ERASE)
    state: Any = run_state_of(run_sync(store.store.heads([run("r")]))[run("r")])
    assert (state.erased, state.status, state.created.run_id, state.created.number) == (
        True,
        "Running",
        "r",
        1,
    )
    assert (state.tags, state.properties, state.display_name) == ({}, {}, None)


def test_later_commands_are_refused(store: Desk) -> None:
    store.send(B, 1, ERASE)
    later: list[Command] = [
        c.SetTags(run_id="r", tags={}),
        c.CompleteRun(run_id="r"),
        c.LogMetrics(run_id="r", batch=Raw(b'{"series":[]}')),
        c.CreateRun(run_id="r", experiment="exp", resume=True),
    ]
    for number, command in enumerate(later, start=2):
        assert refused(store.send(B, number, command), "conflict").facts["erased"] is True


def test_a_child_of_an_erased_parent_still_finds_its_place(store: Desk) -> None:
    store.send(B, 1, ERASE)
    taken(store.send(B, 1, c.CreateRun(run_id="d", experiment="exp", parent_run_id="r")))
    taken(store.send(B, 1, c.CompleteRun(run_id="c")))


def test_erasing_again_changes_nothing(store: Desk) -> None:
    first = taken(store.send(B, 1, ERASE))
    before = store.all_events()
    assert taken(store.send(B, 1, ERASE)).events == first.events
    assert taken(store.send(B, 2, ERASE)).events == ()
    assert store.all_events() == before


def test_numbers_of_an_erased_run_stay_known(store: Desk) -> None:
    store.send(B, 1, ERASE)
    before = store.all_events()
    for number in (1, 2, 3):
        assert store.send(A, number, c.AddProperties(run_id="r", properties={"p": SECRET})).repeated
    assert refused(store.send(A, 9, ERASE), "sequence_gap").facts["expected"] == 4
    assert store.all_events() == before


def test_a_repeated_rejection_of_an_erased_run_is_still_a_refusal(store: Desk) -> None:
    store.send(B, 1, ERASE)
    answer = store.send(A, 2, c.AddProperties(run_id="r", properties={"p": "other " + SECRET}))
    assert event_types(refused(answer, "conflict")) == ["command_rejected"]


@pytest.mark.parametrize("before", [True, False])
def test_what_stands_beside_an_erasure_in_a_batch(store: Desk, before: bool) -> None:
    tag = store.submission(A, 4, c.SetTags(run_id="r", tags={"late": SECRET}))
    erase = store.submission(B, 1, ERASE)
    answers = store.handle(*([tag, erase] if before else [erase, tag]))
    outcomes = dict(zip(["tag", "erase"] if before else ["erase", "tag"], answers, strict=True))
    assert event_types(taken(outcomes["erase"])) == ["erased"]
    if before:
        taken(outcomes["tag"])
    else:
        refused(outcomes["tag"], "conflict")
    assert SECRET.encode() not in b"".join(event.body or b"" for event in store.stream_events(run("r")))


def test_a_run_may_be_created_and_erased_in_one_batch(store: Desk) -> None:
    answers = store.handle(
        store.submission(A, 1, c.CreateRun(run_id="s", experiment="exp", name=SECRET)),
        store.submission(B, 1, c.EraseRun(run_id="s")),
        store.submission(A, 2, c.SetTags(run_id="s", tags={"k": "v"})),
    )
    assert [event_types(answer) for answer in answers] == [
        ["created", "started"],
        ["erased"],
        ["command_rejected"],
    ]
    assert SECRET.encode() not in b"".join(event.body or b"" for event in store.stream_events(run("s")))
