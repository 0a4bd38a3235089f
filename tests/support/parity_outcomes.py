"""A plugin of pytest for ``./dev parity --run``: only tests with a parity mark run, and what they said is kept."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    carrying = [item for item in items if item.get_closest_marker("parity")]
    config.hook.pytest_deselected(items=[item for item in items if item not in set(carrying)])
    items[:] = carrying


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.when == "call" or report.outcome != "passed":
        ids = [row_id for mark in item.iter_markers("parity") for row_id in mark.args]
        with Path(os.environ["RUNFOLD_PARITY_OUTCOMES"]).open("a", encoding="utf-8") as file:
            file.writelines(f"{row_id} {report.outcome}\n" for row_id in ids)
    return report
