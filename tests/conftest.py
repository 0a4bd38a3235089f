"""What holds for every test. Helpers live in tests/support; nothing is imported from here."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import settings

from runfold_services.stack import Stack, borrow, settings_from_environment
from tests.support.distributed_process import DistributedProcess
from tests.support.stack import StackForTest, fetch_before_tests, folder_of_the_run, say_nothing

# A busy machine is no failure, so examples have no deadline. Under CI Hypothesis loads its own profile, which has none
# either and draws the same examples every time.
settings.register_profile("runfold", deadline=None)
if "CI" not in os.environ:
    settings.load_profile("runfold")

# A suite started in the background by a shell inherits an ignored SIGINT, and so would every process it starts; what
# Ctrl-C does is tested all the same.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A runfold home of the test's own, and no server: no test reads or writes what the user recorded."""
    home = tmp_path / "runfold-home"
    monkeypatch.setenv("RUNFOLD_HOME", str(home))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))  # where spools for servers are
    monkeypatch.delenv("RUNFOLD_URL", raising=False)
    monkeypatch.delenv("RUNFOLD_TOKEN", raising=False)
    monkeypatch.delenv("COLUMNS", raising=False)  # of the terminal where the suite was started
    return home


# The real Kafka and Postgres


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


@pytest.fixture(scope="session")
def distributed_url(run_stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    """The API of a distributed set-up: one process of each role, for all tests of the session."""
    place = StackForTest(run_stack)
    # A test that reads at once what another process wrote means the reading, not how far behind a busy machine is.
    patient = {"RUNFOLD_FRESH_WAIT_S": "20"}
    with DistributedProcess(place, tmp_path_factory.mktemp("distributed"), environment=patient) as server:
        yield server.ready()
    place.close()


@pytest.fixture(scope="module")
def own_stack(tmp_path_factory: pytest.TempPathFactory) -> Generator[StackForTest]:
    """A stack for the tests of one module that stop, kill or pause servers."""
    folder = tmp_path_factory.mktemp("own-stack") / "stack"
    with borrow(folder, settings_from_environment(), say_nothing) as servers:
        yield StackForTest(servers)
