"""A stack for the soak's own use. Helpers live in tests/support/stack.py."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from runfold_services.stack import borrow, settings_from_environment
from tests.support.stack import StackForTest, fetch_before_tests, say_nothing


def pytest_collection_finish(session: pytest.Session) -> None:
    fetch_before_tests(session)


@pytest.fixture
def own_stack(tmp_path_factory: pytest.TempPathFactory) -> Generator[StackForTest]:
    """Real Kafka and Postgres that a test may stop, kill and pause."""
    folder = tmp_path_factory.mktemp("soak-stack") / "stack"
    with borrow(folder, settings_from_environment(), say_nothing) as servers:
        yield StackForTest(servers)
