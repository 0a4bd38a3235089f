"""Where a benchmark records: an embedded home or a server, told to processes as one picklable value."""

from __future__ import annotations

import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from runfold import Experiment, Workspace
from runfold._process import close_all

EXPERIMENT = "bench"


@contextmanager
def scratch() -> Generator[Path]:
    """A folder for one benchmark; what this process has open in it is closed before it goes."""
    with tempfile.TemporaryDirectory(prefix="runfold-bench-") as name:
        try:
            yield Path(name)
        finally:
            close_all()


class Place(Struct, frozen=True):
    """One of both is set."""

    home: str | None = None
    url: str | None = None

    @property
    def name(self) -> str:
        return "embedded" if self.url is None else "HTTP"

    def workspace(self) -> Workspace:
        """The workspace, over this process's connection."""
        if self.url is not None:
            return Workspace(workspace_name="default", url=self.url)
        return Workspace(workspace_name="default", home=Path(self.home or ""))

    def experiment(self) -> Experiment:
        """The experiment that everything goes to."""
        return Experiment(self.workspace(), EXPERIMENT)
