"""The real Kafka and Postgres. Helpers live in tests/support/stack.py."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from runfold_services.stack import Stack, borrow, settings_from_environment
from tests.support.stack import StackForTest, fetch_before_tests, folder_of_the_run, say_nothing


def pytest_collection_finish(session: pytest.Session) -> None:
    fetch_before_tests(session)


@pytest.fixture(scope="session")
def run_stack(tmp_path_factory: pytest.TempPathFactory) -> Generator[Stack]:
    """The one stack of this run, shared by all its processes. Tests ask for `stack`."""
    with borrow(
        folder_of_the_run(tmp_path_factory.getbasetemp()), settings_from_environment(), say_nothing
    ) as servers:
        yield servers


@pytest.fixture
def stack(run_stack: Stack) -> Generator[StackForTest]:
    """Real Kafka and Postgres, with databases and topics of the test's own."""
    mine = StackForTest(run_stack)
    yield mine
    mine.close()


@pytest.fixture(scope="module")
def own_stack(tmp_path_factory: pytest.TempPathFactory) -> Generator[StackForTest]:
    """A stack for the tests of one module that stop, kill or pause servers."""
    folder = tmp_path_factory.mktemp("own-stack") / "stack"
    with borrow(folder, settings_from_environment(), say_nothing) as servers:
        yield StackForTest(servers)
