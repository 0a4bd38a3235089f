"""One distributed set-up for the tests of a module, as ``runfold up`` starts it."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from runfold_services.stack import Stack
from tests.support.distributed_process import DistributedProcess
from tests.support.stack import StackForTest


@pytest.fixture(scope="module")
def everything(run_stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Generator[DistributedProcess]:
    """A process of each role, ready."""
    place = StackForTest(run_stack)
    with DistributedProcess(place, tmp_path_factory.mktemp("up")) as processes:
        processes.ready()
        yield processes
    place.close()
