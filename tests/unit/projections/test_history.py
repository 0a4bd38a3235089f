"""The audit trail: every event that is no metric batch, in words."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from runfold_events.contract import events as e
from runfold_events.contract.commands import ErrorInfo
from runfold_events.contract.statuses import Status
from runfold_events.sync import run_sync
from runfold_projections.history.words import WORDS, words_for
from runfold_projections.model import HistoryEntry
from runfold_projections.testing.history import WORKSPACE
from runfold_projections.views import all_projections
from tests.projections.support import Folded

REFUSED = e.CommandRejected(
    command="run.add_properties",
    code="property_immutable",
    message="property 'author' is 'a' since event E; it cannot become 'b'",
    facts={"key": "author", "current": "a", "attempted": "b", "event": "E", "keys": ["author"]},
)

SENTENCES: list[tuple[e.AnyEvent, str]] = [
    (REFUSED, "was refused: property author is 'a' since event E, attempted 'b'"),
    (
        e.CommandRejected(
            command="run.log_params",
            code="parameter_immutable",
            message="m",
            facts={"key": "lr", "current": 0.1, "attempted": None, "event": "E", "keys": ["lr", "n", "o"]},
        ),
        "was refused: parameter lr is 0.1 since event E, attempted null (and 2 more of the same command)",
    ),
    (
        e.CommandRejected(
            command="run.complete", code="run_ended", message="run 'r' is Failed since event E"
        ),
        "was refused run.complete: run 'r' is Failed since event E",
    ),
    (e.CommandRejected(command="run.x", code="property_immutable", message="odd"), "was refused run.x: odd"),
    (e.RunStarted(), "started the run"),
    (e.RunAdvanced(status=Status.QUEUED), "moved the run to Queued"),
    (e.RunAdvanced(status=Status.QUEUED, details="3rd"), "moved the run to Queued: '3rd'"),
    (e.RunCancelRequested(reason="old"), "asked to cancel the run: 'old'"),
    (e.RunCanceled(), "canceled the run"),
    (e.RunCompleted(), "completed the run"),
    (
        e.RunFailed(error=ErrorInfo(message="boom", error_type="ValueError")),
        "failed the run: ValueError: 'boom'",
    ),
    (e.RunFailed(), "failed the run: UserError"),
    (e.RunLost(), "found that the run's last holder is gone"),
    (e.RunFound(status=Status.RUNNING), "found the run alive again: Running"),
    (e.ParamsLogged(params={"lr": 0.1, "on": True}), "logged params lr = 0.1, on = True"),
    (e.PropertiesAdded(properties={"p": None}, late=True), "added properties p = null (after the run's end)"),
    (e.TagsSet(tags={"a": "b"}), "set tags a = 'b'"),
    (e.TagsRemoved(keys=("a", "b")), "removed tags a, b"),
    (e.RunUpdated(display_name="x"), "changed display name = 'x'"),
    (e.RunUpdated(description=None), "changed description = null"),
    (e.RunArchived(), "archived the run"),
    (e.RunRestored(), "restored the run from the archive"),
    (
        e.ArtifactRecorded(path="m.bin", sha256="ab" * 32, size_bytes=7),
        "recorded artifact m.bin (7 bytes, sha256 abababababab…)",
    ),
    (e.CommandsLost(first=3, last=3, reason="full"), "declared command 3 lost: 'full'"),
    (
        e.CommandsLost(first=3, last=5, reason="full", values=9),
        "declared commands 3 to 5 with 9 values lost: 'full'",
    ),
    (e.ExperimentUpdated(set_tags={"a": "b"}, archived=True), "set tags a = 'b' and archived the experiment"),
]


@pytest.mark.parametrize(("event", "sentence"), SENTENCES, ids=lambda x: type(x).__name__)
def test_events_in_words(event: e.AnyEvent, sentence: str) -> None:
    assert words_for("alice", "os", e.event_type(event), event) == f"alice (os) {sentence}"


def test_who_is_only_known_as_anonymous_is_called_so_once() -> None:
    words = words_for("anonymous", "anonymous", "run.completed", e.RunCompleted())
    assert words == "anonymous completed the run"


def test_every_event_has_words_of_its_own() -> None:
    assert set(get_args(e.Event)) == set(WORDS)


def test_long_values_are_cut_in_words_and_whole_in_the_body() -> None:
    words = words_for("a", "os", "run.tags_set", e.TagsSet(tags={"k": "x" * 5_000}))
    assert len(words) < 300
    assert "(5002 characters)" in words


@pytest.fixture
def folded() -> Folded:
    folded = Folded()
    folded.history.experiment()
    folded.history.create("r", tags={"t": "1"})
    return folded


def history(folded: Folded, **options: Any) -> list[HistoryEntry]:
    return run_sync(folded.views.history(WORKSPACE, "r", **options))


def test_the_trail_is_complete_without_metric_batches(folded: Folded) -> None:
    folded.history.log("r", "loss", [1.0])
    refused = folded.history.run("r", REFUSED, actor="bob", actor_source="token", door="http")
    folded.history.complete("r")
    folded.history.run("r", e.TagsSet(tags={"x": "1"}, late=True))

    entries = history(folded)

    assert [(entry.stream_seq, entry.type) for entry in entries] == [
        (1, "run.created"),
        (2, "run.started"),
        (4, "run.command_rejected"),
        (5, "run.completed"),
        (6, "run.tags_set"),
    ]
    entry = entries[2]
    assert entry.words == "bob (token) was refused: property author is 'a' since event E, attempted 'b'"
    assert (entry.event_id, entry.actor, entry.actor_source, entry.door) == (
        refused.id,
        "bob",
        "token",
        "http",
    )
    assert entry.body is not None
    assert (entry.body["facts"]["current"], entry.body["facts"]["attempted"]) == ("a", "b")
    assert [entry.late for entry in entries] == [False] * 4 + [True]


def test_a_trail_can_be_read_in_parts(folded: Folded) -> None:
    for i in range(5):
        folded.history.run("r", e.TagsSet(tags={"x": str(i)}))
    assert [entry.stream_seq for entry in history(folded, from_seq=3, limit=2)] == [3, 4]


def test_what_this_version_does_not_know_is_listed_all_the_same(folded: Folded) -> None:
    folded.history.append_body(
        folded.history.stream("r"), "run.invented_later", b'{"type":"run.invented_later","x":1}'
    )
    folded.history.append_body(
        folded.history.stream("r"), "run.odd", b"\x80", content_type="application/msgpack"
    )
    folded.history.append_body("_system/0", "store.restored", b"{}")

    entries = history(folded)[2:]

    assert [entry.words for entry in entries] == [
        "alice (os) recorded run.invented_later",
        "alice (os) recorded run.odd",
    ]
    assert [entry.body for entry in entries] == [{"type": "run.invented_later", "x": 1}, None]
    assert [state.error for state in run_sync(folded.views.states())] == [None] * len(all_projections())


def test_after_erasure_the_trail_begins_with_it(folded: Folded) -> None:
    folded.catch_up()
    folded.history.erase("r", reason="asked by the owner")
    folded.history.run(
        "r", e.CommandRejected(command="run.set_tags", code="conflict", message="run 'r' was erased")
    )

    entries = history(folded)

    assert [entry.type for entry in entries] == ["run.erased", "run.command_rejected"]
    assert (entries[0].erased, entries[1].erased) == (True, False)
    assert entries[0].words == "alice (os) erased the run, which was Running: 'asked by the owner'"


def test_clocks_far_off_are_shown_as_far_as_dates_go(folded: Folded) -> None:
    folded.history.run("r", e.RunArchived(), occurred_at=2**62)
    folded.history.run("r", e.RunRestored(), occurred_at=-(2**62))
    assert [entry.occurred_at.year for entry in history(folded)[2:]] == [9999, 1]
