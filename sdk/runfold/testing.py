"""For tests of programs that record runs: a workspace that keeps nothing.

from runfold import Experiment
from runfold.testing import memory_workspace

def test_training_logs_its_loss():
    with memory_workspace() as workspace:
        train(Experiment(workspace, "e"))
        (run,) = Experiment(workspace, "e").get_runs()
        assert "loss" in run.get_metrics()
"""

# pyright: reportPrivateUsage=false
# Handles are friends of one another: what they share is no part of the public surface.

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from runfold import _process
from runfold._connection import Connection
from runfold._transport import Transport
from runfold._workspace import Workspace


@contextmanager
def memory_workspace(name: str = "default", *, strict: bool = False) -> Generator[Workspace]:
    """A workspace of its own, with the real rules and views, in memory; everything is gone at the end of the block.

    Forked processes do not share it.
    """
    connection = _process.register(Connection(_open_memory, linger_s=0.0))
    try:
        yield Workspace._over(connection, name, strict=strict)
    finally:
        connection.close()


def _open_memory() -> Transport:
    from runfold._embedded import EmbeddedTransport, os_actor
    from runfold_services.compose import MEMORY, open_embedded

    return EmbeddedTransport(open_embedded(MEMORY, background=False), os_actor())
