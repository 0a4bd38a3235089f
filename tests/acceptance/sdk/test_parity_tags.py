"""Rows of the parity table: parameters, tags, properties. Over both transports."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from runfold import Experiment, PropertyImmutable, Run
from tests.support.sdk_handles import in_another_process


@pytest.fixture
def run(experiment: Experiment) -> Run:
    """A run to write into."""
    return experiment.start_logging()


# ── parameters ────────────────────────────────────────────────────────────────────────────────────────────


def test_parameters_are_typed_and_written_once(run: Run) -> None:
    params: dict[str, Any] = {
        "lr": 0.1,
        "depth": 3,
        "name": "tree",
        "deep": True,
        "seed": None,
        "np": np.int64(5),
    }
    run.log_params(params)
    run.log_params({"lr": 0.1})
    with pytest.raises(PropertyImmutable) as caught:
        run.log_params({"lr": 0.2, "new": 1})

    expected = {**params, "np": 5}
    assert caught.value.code == "parameter_immutable"
    assert caught.value.facts["current"] == 0.1
    assert run.get_params() == expected
    assert {name: type(value) for name, value in run.get_params().items()} == {
        name: type(value) for name, value in expected.items()
    }


# ── tags ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parity("TG-01")
@pytest.mark.parity("TG-02")
@pytest.mark.parity("TG-03")
@pytest.mark.parity("TG-04")
def test_tags(run: Run) -> None:
    run.tag("quality", "great run")
    assert run.get_tags() == {"quality": "great run"}
    run.tag("quality", "fantastic run")
    run.tag("worth another look")
    run.tag("Competition Rank", 1)

    expected = {"quality": "fantastic run", "worth another look": None, "Competition Rank": "1"}
    assert run.tags == {"quality": "great run"}
    assert run.get_tags() == run.tags == expected
    assert in_another_process(run).tags == expected


@pytest.mark.parity("TG-05")
@pytest.mark.parity("TG-06")
def test_tags_are_merged_and_removed(run: Run) -> None:
    run.set_tags({"a": "1", "b": 2})
    run.set_tags({"b": None, "c": "3"})
    run.set_tags({})
    assert run.get_tags() == {"a": "1", "b": None, "c": "3"}
    run.remove_tags(["a", "unknown"])
    run.remove_tags("c")
    run.remove_tags([])
    assert run.get_tags() == {"b": None}


@pytest.mark.parity("TG-07")
def test_tags_after_the_end(run: Run) -> None:
    run.complete()
    run.tag("quality", "great run")
    run.remove_tags(["unknown"])
    assert run.get_tags() == {"quality": "great run"}


# ── properties ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parity("PR-01")
@pytest.mark.parity("PR-02")
@pytest.mark.parity("PR-03")
def test_properties_never_change(run: Run) -> None:
    run.add_properties({"author": "azureml-user"})
    run.add_properties({"reviewer": None})
    run.add_properties({"author": "azureml-user"})
    with pytest.raises(PropertyImmutable) as caught:
        run.add_properties({"author": "different-user", "new": "x"})

    assert caught.value.facts["current"] == "azureml-user"
    assert caught.value.facts["attempted"] == "different-user"
    assert run.get_properties() == run.properties == {"author": "azureml-user", "reviewer": None}
    refusals = [entry for entry in run.history() if entry.type == "run.command_rejected"]
    assert len(refusals) == 1
    assert refusals[0].body is not None
    assert refusals[0].body["facts"]["attempted"] == "different-user"
    run.complete()
    run.add_properties({"after": "the end"})
    assert run.get_properties()["after"] == "the end"


@pytest.mark.parity("PR-04")
def test_empty_properties_send_nothing_and_values_become_text(run: Run) -> None:
    before = len(run.history())
    run.add_properties({})
    assert len(run.history()) == before
    run.add_properties({"n": 1, "flag": True, "x": 0.5})
    assert run.get_properties() == {"n": "1", "flag": "True", "x": "0.5"}


@pytest.mark.parity("PR-05")
def test_there_is_no_way_to_take_a_property_back() -> None:
    names = [name for name in dir(Run) if "propert" in name]
    assert sorted(names) == ["_created_labels", "add_properties", "get_properties", "properties"][1:]
