"""A batch answers per command; what breaks, breaks alone; a command takes effect as a whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import pytest
from msgspec import Raw

from runfold_events.contract import commands as c
from runfold_events.contract.commands import Command
from runfold_events.contract.envelope import JSON, MSGPACK
from runfold_events.contract.ids import bulk_run_id
from runfold_events.contract.submission import Actor, Outcome, Submission
from runfold_events.contract.tokens import parse_token
from tests.support.checker import check_store
from tests.support.ledgers import A, B, Desk, Engine, desk, event_types, experiment, refused, run, taken

PARTITIONS: Final = [1, 16]
BULK: Final = 10_000


@pytest.fixture(params=PARTITIONS, ids=["one partition", "16 partitions"])
def store(request: pytest.FixtureRequest) -> Iterator[Desk]:
    """An empty store, checked in every way afterwards."""
    with desk(partitions=request.param) as opened:
        yield opened
        check_store(opened.store)


def batch(store: Desk, writer: UUID, *commands: Command) -> list[Outcome]:
    """Commands of one writer, numbered per stream from 1."""
    numbers: dict[str, int] = {}
    submissions: list[Submission] = []
    for command in commands:
        stream = store.submission(writer, 1, command).stream
        numbers[stream] = numbers.get(stream, 0) + 1
        submissions.append(store.submission(writer, numbers[stream], command))
    return store.handle(*submissions)


def create(run_id: str, **content: Any) -> c.CreateRun:
    known: dict[str, Any] = {"run_id": run_id, "experiment": "exp"}
    return c.CreateRun(**(known | content))


def tag(run_id: str, key: str = "k") -> c.SetTags:
    return c.SetTags(run_id=run_id, tags={key: "1"})


# ── order ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_answers_come_in_the_order_of_the_commands(store: Desk) -> None:
    names = [f"r{n}" for n in range(40)]
    answers = batch(store, A, c.EnsureExperiment(experiment="exp"), *map(create, names), *map(tag, names))
    assert [event_types(answer) for answer in answers] == [
        ["experiment.created"],
        *[["created", "started"]] * 40,
        *[["tags_set"]] * 40,
    ]
    assert [taken(answer).run_id for answer in answers[1:41]] == names


def test_commands_on_one_run_take_effect_in_order(store: Desk) -> None:
    ends: list[Command] = [c.CompleteRun(run_id="r"), c.FailRun(run_id="r")]
    answers = batch(
        store, A, c.EnsureExperiment(experiment="exp"), create("r"), tag("r"), *ends, tag("r", "late")
    )
    assert [event_types(answer) for answer in answers] == [
        ["experiment.created"],
        ["created", "started"],
        ["tags_set"],
        ["completed"],
        ["command_rejected"],
        ["tags_set"],
    ]
    assert store.types("r") == ["created", "started", "tags_set", "completed", "command_rejected", "tags_set"]


def test_an_experiment_and_a_tree_of_runs_may_be_created_in_one_batch(store: Desk) -> None:
    chain = [create(f"r{n}", parent_run_id=f"r{n - 1}" if n else None) for n in range(20)]
    answers = batch(store, A, c.EnsureExperiment(experiment="exp"), *chain)
    assert all(event_types(answer) == ["created", "started"] for answer in answers[1:])


def test_a_command_is_handled_after_the_experiment_and_the_parent_that_it_names(store: Desk) -> None:
    """Wherever in the batch they stand: batches from several senders may be put together."""
    answers = store.handle(
        store.submission(A, 1, create("child", parent_run_id="parent")),
        store.submission(B, 1, create("parent")),
        store.submission(B, 1, c.EnsureExperiment(experiment="exp")),
    )
    assert [event_types(answer) for answer in answers] == [
        ["created", "started"],
        ["created", "started"],
        ["experiment.created"],
    ]


def test_a_parent_of_the_same_batch_that_is_refused_takes_its_children_along(store: Desk) -> None:
    store.ensure()
    answers = batch(
        store,
        A,
        create("p", experiment="unknown"),
        create("c", parent_run_id="p"),
        tag("c"),
        create("other"),
    )
    refused(answers[0], "not_found")
    assert refused(answers[1], "not_found").facts["field"] == "parent_run_id"
    refused(answers[2], "sequence_gap")
    assert event_types(answers[3]) == ["created", "started"]
    assert {event.stream for event in store.all_events()} == {experiment(), run("other")}


def test_events_of_a_batch_lie_in_its_order_on_each_partition(store: Desk) -> None:
    store.ensure()
    names = [f"r{n}" for n in range(30)]
    batch(store, A, *map(create, names))
    for partition in range(store.store.partitions):
        streams = [event.stream for event in store.partition_events(partition) if event.type == "run.created"]
        assert streams == [run(name) for name in names if run(name) in streams]


def test_a_token_includes_what_it_answers_for(store: Desk) -> None:
    store.ensure()
    for answer in batch(store, A, create("r"), create("s"), tag("r")):
        accepted = taken(answer)
        token = parse_token(accepted.token)
        assert all(event.pos < token.ends[event.partition] for event in accepted.events)
        assert all(end <= store.ends()[partition] for partition, end in token.ends.items())


# ── refusals beside acceptances ───────────────────────────────────────────────────────────────────────────


def test_a_malformed_command_takes_no_neighbour_along(store: Desk) -> None:
    store.ensure()
    bad: list[Command] = [
        c.LogParams(run_id="r", params={"nan": float("nan")}),
        c.LogMetrics(run_id="r", batch=Raw(b"not json")),
        c.SetTags(run_id="bad id", tags={}),
        c.SetTags(run_id="r", tags={"\ud800": None}),
        c.EnsureExperiment(experiment="bad name"),
    ]
    answers = store.handle(
        store.submission(A, 1, create("r")),
        *[store.submission(A, 2, command) for command in bad],
        store.submission(A, 2, tag("r")),
    )
    assert [event_types(answer) for answer in answers] == [
        ["created", "started"],
        *[[]] * len(bad),
        ["tags_set"],
    ]
    for answer in answers[1:-1]:
        refused(answer, "invalid")


@pytest.mark.parametrize(
    "body",
    [
        b'{"series":[{"name":"\xff","times":{"dtype":"i64","values":[]},"columns":{}}]}',
        b'{"series":[{"name":"m","times":{"dtype":"i64","values":[1]},"columns":{"m":{"dtype":"f64","values":['
        + b"9" * 400
        + b"]}}}]}",
    ],
    ids=["broken utf-8", "a number of 400 digits"],
)
def test_a_hostile_metric_batch_takes_no_neighbour_along(store: Desk, body: bytes) -> None:
    store.ensure()
    answers = store.handle(
        store.submission(A, 1, create("r")),
        store.submission(A, 2, c.LogMetrics(run_id="r", batch=Raw(body))),
        store.submission(B, 1, tag("r")),
    )
    assert event_types(answers[0]) == ["created", "started"]
    refused(answers[1], "invalid")
    assert event_types(answers[2]) == ["tags_set"]


def test_the_same_command_twice_in_a_batch_has_one_effect(store: Desk) -> None:
    store.ensure()
    answers = store.handle(
        store.submission(A, 1, create("r")),
        store.submission(A, 1, create("r")),
        store.submission(A, 2, tag("r")),
        store.submission(A, 1, create("r")),
        store.submission(A, 2, tag("r")),
    )
    assert [event_types(answer) for answer in answers] == [
        ["created", "started"],
        ["created", "started"],
        ["tags_set"],
        ["created", "started"],
        ["tags_set"],
    ]
    assert [taken(answer).repeated for answer in answers] == [False, True, False, True, True]
    assert store.types("r") == ["created", "started", "tags_set"]


def test_the_same_number_with_other_content_in_a_batch_is_a_conflict(store: Desk) -> None:
    store.ensure()
    store.create("r")
    answers = store.handle(store.submission(A, 1, tag("r")), store.submission(A, 1, tag("r", "other")))
    assert event_types(answers[0]) == ["tags_set"]
    refused(answers[1], "idempotency_conflict")


def test_two_writers_that_create_one_run_in_a_batch_create_it_once(store: Desk) -> None:
    store.ensure()
    answers = store.handle(store.submission(A, 1, create("r")), store.submission(B, 1, create("r")))
    assert taken(answers[0]).events == taken(answers[1]).events
    assert store.types("r") == ["created", "started"]


def test_a_number_refused_without_an_event_may_come_again_in_the_same_batch(store: Desk) -> None:
    store.ensure()
    answers = store.handle(
        store.submission(A, 1, create("r", experiment="unknown")),
        store.submission(A, 1, create("r")),
    )
    refused(answers[0], "not_found")
    assert event_types(answers[1]) == ["created", "started"]


def test_an_empty_batch_has_no_answers(store: Desk) -> None:
    assert store.handle() == []


def test_a_workspace_is_a_world_of_its_own(store: Desk) -> None:
    store.ensure()
    refused(store.send(A, 1, create("r"), workspace="other"), "not_found")
    taken(store.send(A, 1, c.EnsureExperiment(experiment="exp"), workspace="other"))
    taken(store.send(A, 1, create("r"), workspace="other"))
    taken(store.send(A, 1, create("r", name="another content")))


# ── run numbers ───────────────────────────────────────────────────────────────────────────────────────────


def numbers_of(store: Desk) -> dict[str, int]:
    """The number of every run, by its stream, as its run.created says."""
    created = [event for event in store.all_events() if event.type == "run.created"]
    return {event.stream: int((event.body or b"").split(b'"number":')[1].split(b",")[0]) for event in created}


def test_run_numbers_of_an_experiment_are_unique_and_count_from_1(store: Desk) -> None:
    store.ensure()
    store.ensure("other")
    batch(store, A, *[create(f"r{n}") for n in range(9)], create("o", experiment="other"))
    batch(store, B, create("s"), create("r0"), create("t"))
    numbers = numbers_of(store)
    assert numbers.pop(run("o")) == 1
    assert len(set(numbers.values())) == 11
    assert min(numbers.values()) == 1


def test_a_run_that_is_created_twice_in_a_batch_with_other_content_has_a_number(store: Desk) -> None:
    store.ensure()
    store.ensure("other")
    answers = store.handle(
        store.submission(A, 1, create("r")), store.submission(B, 1, create("r", experiment="other"))
    )
    assert event_types(answers[0]) == ["created", "started"]
    refused(answers[1], "conflict")
    assert numbers_of(store) == {run("r"): 1}


# ── all of a command or nothing ───────────────────────────────────────────────────────────────────────────


@pytest.fixture
def poisonable(tmp_path: Path) -> Iterator[tuple[Desk, Path]]:
    """A store in a file whose engine refuses any event whose actor is ``poison``, once the file is told to."""
    path = tmp_path / "ledger.db"
    with desk(path) as opened:
        opened.ensure()
        yield opened, path
        check_store(opened.store)


def by_poison(store: Desk, writer: UUID, number: int, command: Command) -> Submission:
    return store.submission(writer, number, command, actor=Actor("poison", "os"))


def test_a_command_with_several_events_takes_effect_as_a_whole_or_not_at_all(
    poisonable: tuple[Desk, Path],
    engine: Engine,
) -> None:
    store, path = poisonable
    engine.poison(path, "run.started")  # the second event of a creation
    before = store.all_events()
    (answer,) = store.handle(by_poison(store, A, 1, create("r")))
    refused(answer, "error")
    assert store.all_events() == before
    assert store.mark(run("r"), A) is None
    taken(store.send(A, 1, create("r")))


@pytest.mark.parametrize("place", [0, 1, 7, 12])
def test_a_poisoned_command_breaks_alone(poisonable: tuple[Desk, Path], engine: Engine, place: int) -> None:
    store, path = poisonable
    engine.poison(path, "run.started")
    submissions = [store.submission(A, 1, create(f"r{n}")) for n in range(13)]
    submissions[place] = by_poison(store, A, 1, create(f"r{place}"))
    answers = store.handle(*submissions)
    broken = refused(answers.pop(place), "error")
    assert broken.event is None
    assert all(event_types(answer) == ["created", "started"] for answer in answers)
    assert len(store.all_events()) == 1 + 2 * 12


def test_several_poisoned_commands_break_alone(poisonable: tuple[Desk, Path], engine: Engine) -> None:
    store, path = poisonable
    engine.poison(path, "run.started")
    bad = {0, 3, 4, 9}
    answers = store.handle(
        *[
            by_poison(store, A, 1, create(f"r{n}")) if n in bad else store.submission(A, 1, create(f"r{n}"))
            for n in range(10)
        ]
    )
    assert {n for n, answer in enumerate(answers) if event_types(answer) == []} == bad


def test_what_follows_a_poisoned_command_on_its_run_is_out_of_turn(
    poisonable: tuple[Desk, Path], engine: Engine
) -> None:
    store, path = poisonable
    store.create("r")
    engine.poison(path, "run.tags_set")
    answers = store.handle(
        store.submission(A, 1, c.ArchiveRun(run_id="r")),
        by_poison(store, A, 2, tag("r")),
        store.submission(A, 3, c.CompleteRun(run_id="r")),
        store.submission(B, 1, c.RestoreRun(run_id="r")),
    )
    refused(answers[1], "error")
    assert refused(answers[2], "sequence_gap").facts["expected"] == 2
    assert store.types("r") == ["created", "started", "archived", "restored"]
    taken(store.send(A, 2, c.CompleteRun(run_id="r")))


def test_a_poisoned_command_s_number_is_free(poisonable: tuple[Desk, Path], engine: Engine) -> None:
    store, path = poisonable
    engine.poison(path, "run.started")
    store.handle(by_poison(store, A, 1, create("r")))
    taken(store.send(A, 1, create("r")))


def test_every_run_of_several_transactions_has_a_number_when_one_of_them_breaks(
    poisonable: tuple[Desk, Path], engine: Engine
) -> None:
    store, path = poisonable
    store.create("parent")
    engine.poison(path, "run.created")
    submissions = bulk(store, A, 2_500)
    submissions[1_500] = by_poison(store, A, 1, create("poisoned"))
    answers = store.handle(*submissions)
    refused(answers.pop(1_500), "error")
    assert all(event_types(answer) == ["created", "started"] for answer in answers)
    numbers = numbers_of(store)
    assert len(set(numbers.values())) == len(numbers) == 2_500
    assert min(numbers.values()) == 1


# ── bulk ──────────────────────────────────────────────────────────────────────────────────────────────────


def bulk(store: Desk, writer: UUID, count: int = BULK) -> list[Submission]:
    children = (create(bulk_run_id("sweep", n), parent_run_id="parent") for n in range(count))
    return [store.submission(writer, 1, child) for child in children]


def test_10_000_children_of_one_batch_are_created_once() -> None:
    with desk() as store:
        store.ensure()
        store.create("parent")
        first = store.handle(*bulk(store, A))
        assert [event_types(answer) for answer in first] == [["created", "started"]] * BULK
        size = store.ends()[0]
        assert size == 3 + 2 * BULK
        assert len(set(numbers_of(store).values())) == BULK + 1
        # The same request again: by its own numbers, and by another process that only knows the bulk key.
        for writer in (A, B):
            again = store.handle(*bulk(store, writer))
            assert [taken(answer).events for answer in again] == [taken(answer).events for answer in first]
        assert store.ends()[0] == size


def test_a_retry_of_a_bulk_creation_completes_what_is_missing() -> None:
    with desk(partitions=16) as store:
        store.ensure()
        store.create("parent")
        store.handle(*bulk(store, A, 300))
        answers = store.handle(*bulk(store, B, 1_000))
        assert all(event_types(answer) == ["created", "started"] for answer in answers)
        assert sum(event.type == "run.created" for event in store.all_events()) == 1_001
        check_store(store.store)


@pytest.mark.parametrize(
    ("content_type", "body"), [(JSON, b' { "series":[] }'), (MSGPACK, b"\x81\xa6series\x90")]
)
def test_a_metric_batch_keeps_the_bytes_and_the_encoding_of_its_sender(
    store: Desk, content_type: str, body: bytes
) -> None:
    store.ensure()
    store.create("r")
    taken(store.send(A, 1, c.LogMetrics(run_id="r", batch=Raw(body)), content_type=content_type))
    event = store.stream_events(run("r"))[-1]
    assert (event.content_type, event.body) == (content_type, body)


def test_an_experiment_is_created_once_whoever_names_it(store: Desk) -> None:
    command = c.EnsureExperiment(experiment="exp")
    answers = store.handle(*[store.submission(UUID(int=n), 1, command) for n in range(1, 20)])
    assert [event_types(answer) for answer in answers] == [["experiment.created"], *[[]] * 18]
    assert len(store.stream_events(experiment())) == 1
