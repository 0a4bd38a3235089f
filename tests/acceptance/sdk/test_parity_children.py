"""Rows of the parity table: child runs. Over both transports."""

from __future__ import annotations

import re
import types
from typing import Any

import pytest

from runfold import (
    Experiment,
    Run,
)
from runfold._run_children import BATCH_NUMBER_TAG
from runfold.exceptions import UserErrorException
from runfold_events.contract.limits import CHILDREN_PER_REQUEST_MAX
from runfold_events.contract.statuses import Status
from tests.support.sdk_handles import ids

UUID_TEXT = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")


# ── children ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parity("CH-01")
def test_child_runs(experiment: Experiment) -> None:
    with experiment.start_logging() as parent:
        with parent.child_run() as child:
            assert child.get_status() == "Running"
        named = parent.child_run(name="alpha0.1", run_id="my-child")

    assert child.name == f"{parent.name}>"
    assert (named.id, named.name) == ("my-child", f"{parent.name}>alpha0.1")
    assert Run(experiment, "my-child").child_run("x").name == f"{parent.name}>alpha0.1>x"
    assert parent.get_status() == child.get_status() == "Completed"
    assert named.get_status() == "Running"


@pytest.mark.parity("CH-02")
def test_create_children_by_count(experiment: Experiment) -> None:
    parent = experiment.start_logging()
    children = parent.create_children(count=5)

    assert isinstance(children, list)
    assert [child.tags for child in children] == [{BATCH_NUMBER_TAG: str(n)} for n in range(5)]
    assert {child.status for child in children} == {"NotStarted"}
    assert {child.get_status() for child in children} == {"Running"}
    assert [child.name for child in children] == [None] * 5
    assert [child.parent.id for child in children if child.parent] == [parent.id] * 5
    assert parent.create_children(count=0) == parent.create_children(count=-1) == []
    assert len({child.number for child in children}) == 5


@pytest.mark.parity("CH-03")
def test_create_children_by_tag_values(experiment: Experiment) -> None:
    parent = experiment.start_logging()
    children = parent.create_children(tag_key="lr", tag_values=[0.1, "big", None])

    assert [child.get_tags() for child in children] == [{"lr": "0.1"}, {"lr": "big"}, {"lr": None}]
    assert parent.create_children(tag_key="lr", tag_values=[]) == []


@pytest.mark.parity("CH-04")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "Either count or tag_key and tag_values must be set"),
        ({"count": 1, "tag_key": "k"}, "count can not be set when tag_key and tag_values are set"),
        ({"count": 1, "tag_values": ["v"]}, "count can not be set when tag_key and tag_values are set"),
        ({"tag_key": "k"}, "tag_values must not be null when tag_key is set"),
        ({"tag_values": ["v"]}, "tag_key must not be null when tag_values is set"),
        (
            {"count": CHILDREN_PER_REQUEST_MAX + 1},
            f"create_children can not create more than {CHILDREN_PER_REQUEST_MAX} runs",
        ),
        ({"count": "five"}, "count must be a whole number"),
    ],
)
def test_create_children_errors(experiment: Experiment, arguments: dict[str, Any], message: str) -> None:
    parent = experiment.start_logging()
    with pytest.raises(UserErrorException, match=message):
        parent.create_children(**arguments)
    assert list(parent.get_children()) == []


@pytest.mark.parity("CH-06")
@pytest.mark.parity("CH-07")
@pytest.mark.parity("CH-09")
@pytest.mark.parity("CH-11")
def test_a_tree_of_runs(experiment: Experiment) -> None:
    root = experiment.start_logging()
    child, sibling = root.child_run(), root.child_run()
    grandchild = child.child_run()
    again = Run(experiment, grandchild.id)

    assert isinstance(root.get_children(), types.GeneratorType)
    assert ids(root.get_children()) == [sibling.id, child.id]
    assert set(ids(root.get_children(recursive=True))) == {child.id, sibling.id, grandchild.id}
    assert ids(child.get_children(recursive=True)) == [grandchild.id]
    assert list(sibling.get_children()) == []
    assert root.parent is None
    assert again.parent is not None
    assert again.parent.id == child.id
    assert again.parent.parent is not None
    assert again.parent.parent.id == root.id
    assert Run(experiment, root.id).parent is None
    assert again.summary().root_run_id == root.id
    assert again.summary().path == (root.id, child.id, grandchild.id)


@pytest.mark.parity("CH-08")
def test_children_by_filter(experiment: Experiment) -> None:
    parent = experiment.start_logging()
    one, two, three = parent.create_children(tag_key="n", tag_values=[1, 2, None])
    two.add_properties({"author": "me"})
    two.complete()

    def found(**filters: Any) -> set[str]:
        direct = set(ids(parent.get_children(**filters)))
        assert set(ids(parent.get_children(recursive=True, **filters))) == direct
        return direct

    assert found() == {one.id, two.id, three.id}
    assert found(tags="n") == {one.id, two.id, three.id}
    assert found(tags={"n": 1}) == found(tags={"n": "1"}) == {one.id}
    assert found(tags={"n": None}) == {three.id}
    assert found(properties={"author": "me"}) == {two.id}
    assert found(status="Running") == {one.id, three.id}
    assert found(status="Completed", tags="n", properties="author") == {two.id}
    assert found(type="azureml.scriptrun") == set()


@pytest.mark.parity("CH-10")
def test_statuses_of_parent_and_child_are_independent(experiment: Experiment) -> None:
    with experiment.start_logging() as parent:
        failed = parent.child_run()
        failed.fail("no")
        running = parent.child_run()
    late = parent.child_run()

    assert parent.get_status() == "Completed"
    assert (failed.get_status(), running.get_status(), late.get_status()) == ("Failed", "Running", "Running")
    counts = parent.child_counts()
    assert counts.direct == {Status.FAILED: 1, Status.RUNNING: 2}
