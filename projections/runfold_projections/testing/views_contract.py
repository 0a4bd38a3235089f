"""The contract suite of the ``Views`` port: the behaviour of every question, run against every adapter.

An adapter's test module holds a few lines: a subclass whose name begins with ``Test`` and that says how to open views
over a source of events. A known gap is overridden there with ``pytest.mark.xfail(strict=True, reason=...)``.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar
from uuid import UUID

import pytest

from runfold_events.contract import events as e
from runfold_events.contract.columns import Column
from runfold_events.contract.commands import ErrorInfo
from runfold_events.contract.errors import Invalid, NotFound, PositionNotReached
from runfold_events.contract.statuses import Status
from runfold_events.contract.tokens import Token
from runfold_projections.model import ChildCounts, RunQuery, SeriesInfo
from runfold_projections.testing.curves_contract import CurvesContract
from runfold_projections.testing.finding_contract import FindingContract
from runfold_projections.testing.history import START_US, WORKSPACE, History, floats, table
from runfold_projections.testing.views_scene import OpenViews, Scene, recorded
from runfold_projections.values import as_datetime

__all__ = ["OpenViews", "PartitionedViewsContract", "ViewsContract"]


class ViewsContract(CurvesContract, FindingContract):
    """Everything that holds for any adapter, over one partition; see :class:`PartitionedViewsContract`."""

    # Nothing there

    def test_empty_views_answer(self, scene: Scene) -> None:
        assert self.ask(scene.views.workspaces()) == []
        assert self.ask(scene.views.experiments(WORKSPACE)) == []
        assert self.ids(scene) == []
        assert self.ask(scene.views.count(WORKSPACE, RunQuery())) == 0
        assert self.ask(scene.views.reach(None)) == scene.history.source.token()

    def test_unknown_runs_and_experiments_are_not_found(self, filled: Scene) -> None:
        views = filled.views
        for question in (
            views.run(WORKSPACE, "nobody"),
            views.run("elsewhere", "root"),
            views.child_counts(WORKSPACE, "nobody"),
            views.series(WORKSPACE, "nobody"),
            views.metrics(WORKSPACE, "nobody"),
            views.metrics(WORKSPACE, "nobody", recursive=True),
            views.history(WORKSPACE, "nobody"),
            views.experiment(WORKSPACE, "nothing"),
            views.run(WORKSPACE, "\ud800"),
        ):
            with pytest.raises(NotFound):
                self.ask(question)

    # Runs

    def test_a_run_as_its_events_tell_it(self, filled: Scene) -> None:
        run = self.ask(filled.views.run(WORKSPACE, "child"))

        assert (run.status, run.experiment, run.number) == (Status.COMPLETED, "exp", 2)
        assert (run.parent_run_id, run.root_run_id, run.path) == ("root", "root", ("root", "child"))
        assert (run.tags, run.params) == ({"kind": "trial"}, {"lr": 0.01, "model": "cnn"})
        assert run.started_at is not None
        assert run.ended_at is not None
        assert run.created_at < run.started_at < run.ended_at == run.updated_at
        loss = run.metrics["loss"]
        assert (loss.latest, loss.min, loss.max, loss.count, loss.step) == (0.7, 0.5, 0.9, 3, 2)
        assert set(run.metrics) == {"loss", "acc"}

    def test_a_failed_run_says_why(self, filled: Scene) -> None:
        error = ErrorInfo(message="boom", error_type="ValueError")
        filled.history.run("beside", e.RunFailed(error=error))
        run = self.ask(filled.views.run(WORKSPACE, "beside"))
        assert (run.status, run.error) == (Status.FAILED, error)

    def test_an_erased_run_is_a_stub_everywhere(self, filled: Scene) -> None:
        self.ask(filled.views.reach(None))
        filled.history.run("child", recorded("model.bin", "a"))
        self.ask(filled.views.reach(None))
        filled.history.erase("child")

        run = self.ask(filled.views.run(WORKSPACE, "child"))

        assert (run.erased, run.status, run.params, run.metrics, run.tags) == (
            True,
            Status.COMPLETED,
            {},
            {},
            {},
        )
        assert self.ask(filled.views.metrics(WORKSPACE, "child")) == []
        assert self.ask(filled.views.files(WORKSPACE, "child")) == []
        assert [entry.type for entry in self.ask(filled.views.history(WORKSPACE, "child"))] == ["run.erased"]
        assert self.ask(filled.views.child_counts(WORKSPACE, "root")).direct == {Status.COMPLETED: 1}

    # Files

    def test_files_are_listed_by_path(self, filled: Scene) -> None:
        for path in ("outputs/b", "outputs/a", "Outputs/a", "outputs-b", f"{'long' * 200}/{'é' * 200}"):
            filled.history.run("child", recorded(path, "a"))
        filled.history.run("root", recorded("outputs/a", "b"))

        found = self.ask(filled.views.files(WORKSPACE, "child"))
        assert [file.path for file in found] == sorted(file.path for file in found)
        assert len(found) == 5
        under = self.ask(filled.views.files(WORKSPACE, "child", prefix="outputs/"))
        assert [file.path for file in under] == ["outputs/a", "outputs/b"]
        assert self.ask(filled.views.files(WORKSPACE, "child", prefix="\ud800")) == []
        assert self.ask(filled.views.files(WORKSPACE, "beside")) == []

    def test_a_file_is_what_its_event_said(self, filled: Scene) -> None:
        event = filled.history.run("child", recorded("m", "a"))
        file = self.ask(filled.views.file(WORKSPACE, "child", "m"))
        assert (file.path, file.sha256, file.size_bytes, file.content_type) == (
            "m",
            "a" * 64,
            7,
            "text/plain",
        )
        assert file.recorded_at == as_datetime(event.recorded_at)
        for run_id, path in (("child", "M"), ("root", "m"), ("nobody", "m"), ("child", "\x00")):
            with pytest.raises(NotFound):
                self.ask(filled.views.file(WORKSPACE, run_id, path))

    def test_which_contents_somebody_has_recorded(self, filled: Scene) -> None:
        filled.history.run("child", recorded("m", "a"))
        filled.history.run("root", recorded("m", "a"))
        filled.history.run("child", recorded("n", "b"))
        asked = ["a" * 64, "b" * 64, "c" * 64]
        assert self.ask(filled.views.recorded_contents(WORKSPACE, asked)) == {"a" * 64, "b" * 64}
        assert self.ask(filled.views.recorded_contents("elsewhere", asked)) == set()
        filled.history.erase("child")
        assert self.ask(filled.views.recorded_contents(WORKSPACE, asked)) == {"a" * 64}

    # Lists

    def test_lists_by_place_in_the_tree(self, filled: Scene) -> None:
        assert self.ids(filled) == ["root", "beside"]
        assert self.ids(filled, include_children=True) == ["root", "child", "grandchild", "beside"]
        assert self.ids(filled, parent_run_id="root") == ["child"]
        assert self.ids(filled, ancestor_run_id="root") == ["child", "grandchild"]
        assert self.ids(filled, experiment="second") == ["beside"]

    def test_lists_by_what_runs_have(self, filled: Scene) -> None:
        everything = {"include_children": True}
        assert self.ids(filled, tags={"kind": "trial"}, **everything) == ["child"]
        assert self.ids(filled, tag_keys=("kind",), **everything) == ["root", "child"]
        assert self.ids(filled, properties={"data": "sha256:1"}, **everything) == ["root"]
        assert self.ids(filled, status=(Status.RUNNING,), **everything) == ["root", "beside"]
        assert self.ids(filled, run_type="sweep", **everything) == ["root"]
        text = 'status = "Completed" and (params.lr < 0.1 or tags.kind like "x%") and not metrics.loss > 2'
        assert self.ids(filled, filter=text, **everything) == ["child"]
        assert self.ask(filled.views.count(WORKSPACE, RunQuery(filter=text, include_children=True))) == 1

    def test_archived_runs_are_listed_when_asked_for(self, filled: Scene) -> None:
        filled.history.run("beside", e.RunArchived())
        assert self.ids(filled) == ["root"]
        assert self.ids(filled, include_archived=True) == ["root", "beside"]

    def test_order_puts_runs_without_a_value_last(self, filled: Scene) -> None:
        for order_by in ("metrics.best", "-metrics.best"):
            assert self.ids(filled, order_by=order_by)[0] == "root"
        assert self.ids(filled, order_by="run_id", include_children=True) == [
            "beside",
            "child",
            "grandchild",
            "root",
        ]

    @pytest.mark.parametrize(
        "order_by", ["-created_at", "run_id", "-metrics.loss", "display_name", "tags.kind desc"]
    )
    def test_pages_are_the_list_in_pieces(self, filled: Scene, order_by: str) -> None:
        whole = self.ids(filled, order_by=order_by, include_children=True)
        for limit in (1, 3, 4):
            found: list[str] = []
            page: str | None = None
            for _ in range(5):
                query = RunQuery(order_by=order_by, include_children=True, limit=limit, page=page)
                answer = self.ask(filled.views.runs(WORKSPACE, query))
                found += [row.run_id for row in answer.rows]
                page = answer.next
                if page is None:
                    break
            assert found == whole

    def test_a_page_of_another_query_is_refused(self, filled: Scene) -> None:
        page = self.ask(filled.views.runs(WORKSPACE, RunQuery(limit=1))).next
        assert page is not None
        for query in (
            RunQuery(limit=1, page=page, experiment="exp"),
            RunQuery(limit=1, page=page, order_by="run_id"),
            RunQuery(limit=1, page=page[:-2] + "AA"),
            RunQuery(limit=1, page="hello"),
        ):
            with pytest.raises(Invalid) as caught:
                self.ask(filled.views.runs(WORKSPACE, query))
            assert caught.value.field == "page"

    def test_fields_narrow_what_is_loaded(self, filled: Scene) -> None:
        query = RunQuery(
            include_children=True, fields=("status", "metrics.loss", "params.lr"), filter='run_id = "child"'
        )
        row = self.ask(filled.views.runs(WORKSPACE, query)).rows[0]
        assert (row.status, set(row.metrics), row.params, row.tags) == (
            Status.COMPLETED,
            {"loss"},
            {"lr": 0.01},
            {},
        )

    @pytest.mark.parametrize(
        ("query", "field"),
        [
            ({"filter": "nonsense"}, "filter"),
            ({"order_by": "nonsense"}, "order_by"),
            ({"fields": ("nonsense",)}, "fields"),
            ({"limit": 0}, "limit"),
            ({"limit": 1_001}, "limit"),
            ({"page": "nonsense"}, "page"),
            ({"experiment": "\ud800"}, "experiment"),
        ],
    )
    def test_bad_queries_name_their_field(self, filled: Scene, query: dict[str, Any], field: str) -> None:
        with pytest.raises(Invalid) as caught:
            self.ask(filled.views.runs(WORKSPACE, RunQuery(**query)))
        assert caught.value.field == field

    # Children, experiments, workspaces

    def test_children_are_counted_by_status(self, filled: Scene) -> None:
        assert self.ask(filled.views.child_counts(WORKSPACE, "root")) == ChildCounts(
            direct={Status.COMPLETED: 1}, descendants={Status.COMPLETED: 1, Status.NOT_STARTED: 1}
        )
        assert self.ask(filled.views.child_counts(WORKSPACE, "beside")) == ChildCounts()

    def test_experiments_with_what_their_runs_add_up_to(self, filled: Scene) -> None:
        first, second = self.ask(filled.views.experiments(WORKSPACE))

        assert (first.experiment, second.experiment) == ("exp", "second")
        assert first.runs == {Status.RUNNING: 1, Status.COMPLETED: 1, Status.NOT_STARTED: 1}
        assert first.tags == {"team": "vision"}
        assert self.ask(filled.views.experiment(WORKSPACE, "second")) == second
        filled.history.update_experiment("second", archived=True)
        assert [x.experiment for x in self.ask(filled.views.experiments(WORKSPACE))] == ["exp"]
        both = self.ask(filled.views.experiments(WORKSPACE, include_archived=True))
        assert {x.experiment for x in both} == {"exp", "second"}

    def test_workspaces_are_apart(self, filled: Scene) -> None:
        other = History(filled.history.source, "other")
        other.experiment()
        other.create("root")

        assert self.ask(filled.views.workspaces()) == [WORKSPACE, "other"]
        assert self.ask(filled.views.run("other", "root")).tags == {}
        assert self.ids(filled) == ["root", "beside"]

    # Metrics

    def test_points_in_order_with_their_steps_and_times(self, filled: Scene) -> None:
        filled.history.metrics("child", floats("loss", [math.nan, -0.0], None, time_ms=1), writer_seq=99)

        loss = self.ask(filled.views.metrics(WORKSPACE, "child", names=("loss",)))[0]

        assert (loss.run_id, loss.name, loss.kind, loss.count) == ("child", "loss", "scalar", 5)
        assert loss.steps == [None, None, 0, 1, 2]
        first = START_US // 1_000
        assert loss.times_ms == [1, 2, first, first + 1, first + 2]
        values = loss.columns["loss"]
        assert math.isnan(values[0])
        assert math.copysign(1, values[1]) == -1
        assert values[2:] == [0.9, 0.5, 0.7]

    def test_more_points_than_a_chunk_holds(self, filled: Scene) -> None:
        values = [math.sin(i) for i in range(9_000)]
        for start in range(0, 9_000, 900):
            filled.history.log("beside", "long", values[start : start + 900], start)
            self.ask(filled.views.reach(None))

        long = self.ask(filled.views.metrics(WORKSPACE, "beside"))[0]
        assert (long.count, long.columns["long"], long.steps) == (9_000, values, list(range(9_000)))
        last = self.ask(filled.views.metrics(WORKSPACE, "beside", points_max=10))[0]
        assert (last.count, last.columns["long"]) == (10, values[-10:])

    def test_cells_of_every_type_come_back_as_they_were(self, filled: Scene) -> None:
        cells: dict[str, Column] = {
            "f": Column(dtype="f64", values=[1.0, "Infinity"]),
            "i": Column(dtype="i64", values=[2**63 - 1, -5]),
            "b": Column(dtype="bool", values=[True, False]),
            "s": Column(dtype="str", values=["x", "é"]),
            "a": Column(dtype="any", values=[None, 3]),
        }
        filled.history.metrics("beside", table("row", cells, [1, 2], kind="table"))

        row = self.ask(filled.views.metrics(WORKSPACE, "beside"))[0]

        assert row.kind == "table"
        assert row.columns == {
            "f": [1.0, math.inf],
            "i": [2**63 - 1, -5],
            "b": [True, False],
            "s": ["x", "é"],
            "a": [None, 3],
        }

    def test_series_of_a_run_and_of_all_below_it(self, filled: Scene) -> None:
        own = [SeriesInfo(run_id="root", name="best", kind="scalar", count=1, columns=("best",))]
        below = [
            SeriesInfo(run_id="child", name="loss", kind="scalar", count=3, columns=("loss",)),
            SeriesInfo(run_id="child", name="acc", kind="scalar", count=1, columns=("acc",)),
        ]
        assert self.ask(filled.views.series(WORKSPACE, "root")) == own
        assert self.ask(filled.views.series(WORKSPACE, "root", recursive=True)) == own + below
        data = self.ask(filled.views.metrics(WORKSPACE, "root", recursive=True))
        assert [(one.run_id, one.name) for one in data] == [
            ("root", "best"),
            ("child", "loss"),
            ("child", "acc"),
        ]
        assert self.ask(filled.views.metrics(WORKSPACE, "root", names=("nothing",))) == []

    # History

    def test_the_audit_trail_names_who_was_refused_what(self, filled: Scene) -> None:
        filled.history.run(
            "child",
            e.CommandRejected(
                command="run.add_properties",
                code="property_immutable",
                message="m",
                facts={"key": "k", "current": "a", "attempted": "b", "event": "E", "keys": ["k"]},
            ),
            actor="mallory",
        )
        filled.history.run("child", e.TagsSet(tags={"x": "1"}, late=True))

        entries = self.ask(filled.views.history(WORKSPACE, "child"))

        assert [entry.type.split(".")[1] for entry in entries] == [
            "created",
            "started",
            "params_logged",
            "completed",
            "command_rejected",
            "tags_set",
        ]
        assert entries[4].words == "mallory (os) was refused: property k is 'a' since event E, attempted 'b'"
        assert [entry.late for entry in entries] == [False] * 5 + [True]
        assert self.ask(filled.views.run(WORKSPACE, "child")).rejections == 1
        part = self.ask(filled.views.history(WORKSPACE, "child", from_seq=entries[1].stream_seq, limit=2))
        assert part == entries[1:3]

    # Positions

    def test_a_question_after_reaching_a_token_sees_what_it_stands_for(self, filled: Scene) -> None:
        filled.history.complete("root")
        token = filled.history.source.token()

        reached = self.ask(filled.views.reach(token))

        assert all(reached.ends[partition] >= end for partition, end in token.ends.items())
        assert self.ask(filled.views.run(WORKSPACE, "root")).status is Status.COMPLETED

    def test_what_is_not_there_is_not_reached(self, filled: Scene) -> None:
        token = filled.history.source.token()
        beyond = Token(token.epoch, {partition: end + 1 for partition, end in token.ends.items()})
        for asked in (beyond, Token(UUID(int=5), {0: 1})):
            with pytest.raises(PositionNotReached) as caught:
                self.ask(filled.views.reach(asked, 0.05))
            assert caught.value.facts["position"] == str(token)

    def test_states_name_every_view_and_partition(self, filled: Scene) -> None:
        self.ask(filled.views.reach(None))
        states = self.ask(filled.views.states())

        names = {"runs", "children", "metrics", "experiments", "history", "artifacts"}
        partitions = range(self.PARTITIONS)
        assert {(s.projection, s.partition) for s in states} == {
            (name, p) for name in names for p in partitions
        }
        assert all(state.position == state.end and state.error is None for state in states)


class PartitionedViewsContract(ViewsContract):
    """The same over several partitions."""

    PARTITIONS: ClassVar[int] = 4
