"""What the contract suites of views share: a history in memory, views over it, and what to ask them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

import pytest

from runfold_events.contract import events as e
from runfold_events.sync import run_sync
from runfold_projections.model import RunQuery
from runfold_projections.ports import Views
from runfold_projections.testing.history import WORKSPACE, History, MemorySource, floats

T = TypeVar("T")


def recorded(path: str, digit: str) -> e.ArtifactRecorded:
    """A file of seven bytes was recorded, whose digest is all ``digit``."""
    return e.ArtifactRecorded(path=path, sha256=digit * 64, size_bytes=7, content_type="text/plain")


class OpenViews(Views, Protocol):
    """Views that a test opens and closes."""

    async def close(self) -> None: ...


class Scene:
    """Views under test, and the history that they are about."""

    def __init__(self, views: OpenViews, history: History) -> None:
        self.views = views
        self.history = history

    def fill(self) -> None:
        """Two experiments; a tree of three runs, one run beside it, each with something of its own."""
        history = self.history
        history.experiment(tags={"team": "vision"})
        history.experiment("second")
        history.create("root", tags={"kind": "sweep"}, properties={"data": "sha256:1"}, run_type="sweep")
        history.create("child", "root", tags={"kind": "trial"})
        history.create("grandchild", "child", start=False)
        history.create("beside", experiment="second", display_name="Beside")
        history.run("child", e.ParamsLogged(params={"lr": 0.01, "model": "cnn"}))
        history.metrics("child", floats("loss", [0.9, 0.5, 0.7]), floats("acc", [0.1]))
        history.metrics("root", floats("best", [0.5]))
        history.complete("child")


class ViewsSuite(ABC):
    """How views are opened, filled and asked; a suite adds what must hold of the answers."""

    PARTITIONS: ClassVar[int] = 1

    @abstractmethod
    def open_views(self, place: Path, source: MemorySource) -> OpenViews:
        """Views over ``source``, kept at ``place`` where they are kept at all."""

    def ask(self, question: Coroutine[Any, Any, T]) -> T:
        """The answer; an adapter that needs a loop overrides this."""
        return run_sync(question)

    @pytest.fixture
    def scene(self, tmp_path: Path) -> Iterator[Scene]:
        source = MemorySource(self.PARTITIONS)
        views = self.open_views(tmp_path / "views.db", source)
        yield Scene(views, History(source))
        self.ask(views.close())

    @pytest.fixture
    def filled(self, scene: Scene) -> Scene:
        scene.fill()
        return scene

    def ids(self, scene: Scene, **query: Any) -> list[str]:
        """Ids of the runs of one page, oldest first unless asked otherwise."""
        query.setdefault("order_by", "number")
        asked = RunQuery(**query)
        return [row.run_id for row in self.ask(scene.views.runs(WORKSPACE, asked)).rows]
