"""The system's page: where partitions and views stand, what is being rebuilt or has stopped, what nobody could read."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

from runfold_events.contract.tokens import Token
from runfold_projections.model import ProjectionState
from tests.support.browser import Visitor
from tests.support.fake_backend import FakeBackend, FakeViews
from tests.support.garbage import keep_garbage
from tests.support.http_server import running
from tests.support.server_process import ServerProcess

ENDS = {0: 1_200, 1: 400}
BROKEN = "run.archived 01890a5d-ac96-774b-bcce-b302099a8057: ValueError"


class TroubledViews(FakeViews):
    """One view that is up to date, one that is behind, one that has stopped, one that is being built anew."""

    async def states(self) -> list[ProjectionState]:
        return [
            *_on_both("runs", 0),
            *_on_both("history", 20),
            _at("metrics", 0, ENDS[0]),
            _at("metrics", 1, 123, error=BROKEN),
            _at("children", 0, ENDS[0], rebuilt=600),
            _at("children", 1, ENDS[1], rebuilt=200),
        ]


class TroubledBackend(FakeBackend):
    """A store of two partitions under :class:`TroubledViews`."""

    def __init__(self) -> None:
        super().__init__()
        self.views = TroubledViews(self)

    @property
    def partitions(self) -> int:
        return len(ENDS)

    async def token(self) -> Token:
        return Token(self.epoch, ENDS)


def _on_both(name: str, lag: int) -> list[ProjectionState]:
    return [_at(name, partition, end - lag) for partition, end in ENDS.items()]


def _at(
    name: str, partition: int, position: int, *, error: str | None = None, rebuilt: int | None = None
) -> ProjectionState:
    return ProjectionState(
        projection=name,
        version=1,
        partition=partition,
        position=position,
        end=ENDS[partition],
        error=error,
        rebuilt_version=None if rebuilt is None else 2,
        rebuilt_position=rebuilt,
    )


def row(page: Page, name: str) -> Locator:
    return page.get_by_role("row", name=re.compile(rf"^{name} "))


def test_what_is_behind_stopped_or_being_rebuilt_is_seen(visitors: Callable[..., Visitor]) -> None:
    with running(TroubledBackend()) as server:
        visitor = visitors(server.url)
        page = visitor.visit("system")
        expect(row(page, "runs")).to_contain_text("up to date")
        expect(row(page, "history")).to_contain_text("folding")
        expect(row(page, "history").get_by_role("cell").nth(4)).to_have_text("40")  # on both partitions
        expect(row(page, "metrics")).to_contain_text("stopped")
        expect(row(page, "metrics")).to_contain_text(f"partition 1, position 123: {BROKEN}")
        rebuild = row(page, "children").get_by_role("progressbar", name="Rebuild of children")
        expect(rebuild).to_have_attribute("aria-valuenow", "800")
        expect(rebuild).to_have_attribute("aria-valuemax", "1600")
        partitions = page.get_by_role("region", name="Partitions").get_by_role("row")
        expect(partitions).to_have_count(1 + len(ENDS))
        expect(partitions.nth(2)).to_contain_text("277")  # how far the slowest view is behind
        page.goto("about:blank")  # its streams end before the server does


def test_what_nobody_could_read_comes_up_by_itself_and_is_shown(
    visitors: Callable[..., Visitor], tmp_path: Path
) -> None:
    with ServerProcess(tmp_path) as server:
        visitor = visitors(server.ready())
        page = visitor.visit("system")
        records = page.get_by_role("region", name="Unreadable records")
        expect(records).to_contain_text("Everything that was sent could be read")
        keep_garbage(tmp_path)
        expect(records.get_by_role("row", name=re.compile("^0-1 "))).to_contain_text("no")  # not sent again
        records.get_by_role("button", name="Look").click()
        dialog = page.get_by_role("dialog", name="Record 0-1")
        expect(dialog).to_contain_text('"offset": 0')
        page.keyboard.press("Escape")
        expect(dialog).to_have_count(0)
