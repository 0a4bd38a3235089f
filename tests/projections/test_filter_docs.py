"""The examples of docs/filter-language.md find what the page says, and its errors read as the page says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from runfold_events.contract import events as e
from runfold_events.contract.commands import ErrorInfo
from runfold_events.contract.errors import Invalid
from runfold_events.sync import run_sync
from runfold_projections.filters.fields import ATTRIBUTES
from runfold_projections.model import RunQuery
from runfold_projections.testing.history import WORKSPACE, floats
from tests.projections.support import Folded

PAGE = Path(__file__).parents[2] / "docs" / "filter-language.md"
TEXT = PAGE.read_text("utf-8")
FOUND = re.findall(r"^(\S.*?)\s+→ (.*)$", TEXT, re.MULTILINE)
ERRORS = re.findall(r"^(\S.*?)\s+✗ (.*)$", TEXT, re.MULTILINE)


@pytest.fixture(scope="module")
def folded() -> Folded:
    folded = Folded()
    history = folded.history
    history.experiment()
    history.create("base", tags={"quality": "fair", "batch": "32"})
    history.create("fine", tags={"quality": "fantastic", "worth another look": None})
    history.create("odd")
    history.run("base", e.ParamsLogged(params={"lr": 0.1, "model": "cnn", "amp": True}))
    history.run("fine", e.ParamsLogged(params={"lr": 0.005, "model": "vit", "amp": False}))
    history.run("odd", e.ParamsLogged(params={"lr": "auto"}))
    history.metrics("base", floats("loss", [2.5]), floats("val/acc", [0.61]))
    history.metrics("fine", floats("loss", [0.9, 0.1, 0.4]), floats("val/acc", [0.93]))
    history.metrics("odd", floats("loss", [float("nan")]))
    history.complete("base")
    history.run("odd", e.RunFailed(error=ErrorInfo(message="diverged")))
    return folded


def test_the_page_has_examples() -> None:
    assert len(FOUND) > 20
    assert len(ERRORS) >= 5


@pytest.mark.parametrize(("text", "expected"), FOUND)
def test_examples_find_what_the_page_says(folded: Folded, text: str, expected: str) -> None:
    query = RunQuery(filter=text, order_by="number")
    assert ", ".join(row.run_id for row in run_sync(folded.views.runs(WORKSPACE, query)).rows) == expected


@pytest.mark.parametrize(("text", "expected"), ERRORS)
def test_errors_read_as_the_page_says(folded: Folded, text: str, expected: str) -> None:
    with pytest.raises(Invalid) as caught:
        run_sync(folded.views.runs(WORKSPACE, RunQuery(filter=text)))
    assert caught.value.message == f"filter, {expected}"


def test_all_attributes_are_on_the_page() -> None:
    listed = re.search(r"\*\*Attributes:\*\*(.*?)\n\n", TEXT, re.DOTALL)
    assert listed is not None
    assert re.findall(r"`(\w+)`", listed[1]) == list(ATTRIBUTES)
