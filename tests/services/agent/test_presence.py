"""Whether an agent lives: what keeps a run from waiting for one that is about to end."""

from __future__ import annotations

from pathlib import Path

from runfold.cli.executing import _nothing_waits  # pyright: ignore[reportPrivateUsage]
from runfold_services.agent.presence import Presence


class Looking:
    """An agent that looks whether anything waits; ``meanwhile`` happens just before."""

    def __init__(self, folder: Path, finds: bool) -> None:
        self.folder = folder
        self.finds = finds
        self.seen_by_submitter: bool | None = None

    def has_work(self) -> bool:
        self.seen_by_submitter = Presence(self.folder).is_somebody_there()
        return self.finds


def test_one_agent_is_alone_and_others_share(tmp_path: Path) -> None:
    first, second, third = Presence(tmp_path), Presence(tmp_path), Presence(tmp_path)
    assert not first.is_somebody_there()
    assert first.enter(alone=True)
    assert first.is_somebody_there()
    assert not second.enter(alone=True)
    assert second.enter(alone=False), "people may start as many as they like"
    first.leave()
    assert not third.is_somebody_there()
    assert second.enter(alone=False)
    assert third.enter(alone=False)
    assert not first.enter(alone=True)
    second.leave()
    assert third.is_somebody_there()
    third.leave()
    assert not third.is_somebody_there()


def test_an_agent_that_ends_looks_once_more_when_nobody_takes_it_for_alive(tmp_path: Path) -> None:
    presence = Presence(tmp_path)
    presence.enter(alone=True)
    nothing, something = Looking(tmp_path, finds=False), Looking(tmp_path, finds=True)
    assert not _nothing_waits(presence, something, alone=True)  # type: ignore[arg-type]
    assert something.seen_by_submitter is False, (
        "whoever submits now starts an agent, whoever did before is found"
    )
    assert presence.is_somebody_there(), "it goes on"
    assert _nothing_waits(presence, nothing, alone=True)  # type: ignore[arg-type]
    assert not presence.is_somebody_there()


def test_an_agent_that_ends_leaves_the_work_to_one_that_was_started_meanwhile(tmp_path: Path) -> None:
    presence, other = Presence(tmp_path), Presence(tmp_path)
    presence.enter(alone=True)

    class Overtaken(Looking):
        def has_work(self) -> bool:
            other.enter(alone=True)
            return True

    assert _nothing_waits(presence, Overtaken(tmp_path, finds=True), alone=True)  # type: ignore[arg-type]
    other.leave()
