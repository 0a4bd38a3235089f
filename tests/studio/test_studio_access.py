"""A server with tokens: the Studio asks for one, keeps it in its tab, and never puts it into an address."""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path

import pytest
from playwright.sync_api import Request, expect

from tests.support.browser import Visitor
from tests.support.http_server import Client
from tests.support.server_process import ServerProcess

TOKEN = "bob-token-that-nobody-guesses"
BOB = {"Authorization": f"Bearer {TOKEN}"}
W = "/api/v1/workspaces/default"


@pytest.fixture(scope="module")
def guarded_url(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    folder: Path = tmp_path_factory.mktemp("guarded")
    (folder / "tokens").write_text(f"alice alice-token admin\nbob {TOKEN}\n")
    environment = {"RUNFOLD_TOKENS_FILE": str(folder / "tokens")}
    with ServerProcess(folder / "home", environment=environment, life_s_max=200.0) as server:
        url = server.ready()
        with Client(url, BOB) as client:
            assert client.post(f"{W}/experiments", {"experiment": "secret"}).status == 201
            body = {"experiment": "secret", "run_id": "r", "display_name": "one"}
            assert client.post(f"{W}/runs", body).status == 201
        yield url


def test_who_has_a_token_signs_in_and_nobody_else_sees_anything(
    visitors: Callable[..., Visitor], guarded_url: str
) -> None:
    visitor = visitors(guarded_url)
    sent: list[Request] = visitor.heard("request")
    page = visitor.visit("w/default/runs")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert "secret" not in page.content()
    page.get_by_label("Token").fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("this token is not known")
    page.get_by_label("Token").fill(TOKEN)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("link", name="one").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("one")
    expect(page.locator(".live-live")).to_be_visible()
    with Client(guarded_url, BOB) as client:
        assert client.post(f"{W}/runs/r/complete").status == 200
    expect(page.locator(".status-pill")).to_have_text(
        "Completed"
    )  # by the stream, which carries the token too

    page.reload()
    expect(page.get_by_role("heading", level=1)).to_contain_text("one")  # kept in this tab
    assert [request.url for request in sent if TOKEN in request.url] == []
    assert page.evaluate("JSON.stringify(localStorage)").find(TOKEN) == -1
    assert visitor.context.cookies() == []
    other = visitor.context.new_page()
    other.goto("/studio/w/default/runs")
    expect(other.get_by_role("heading", name="Sign in")).to_be_visible()  # and in no other

    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert page.evaluate("JSON.stringify(sessionStorage)").find(TOKEN) == -1
    visitor.complaints[:] = [text for text in visitor.complaints if "status of 401" not in text]


def test_who_is_no_admin_sees_no_unreadable_records(
    visitors: Callable[..., Visitor], guarded_url: str
) -> None:
    visitor = visitors(guarded_url)
    visitor.page.add_init_script(f"sessionStorage.setItem('runfold.token', {TOKEN!r})")
    page = visitor.visit("system")
    expect(page.get_by_text("You are")).to_be_visible()
    expect(page.get_by_text("bob")).to_be_visible()
    expect(page.get_by_role("heading", name="Partitions")).to_be_visible()
    expect(page.get_by_role("heading", name="Unreadable records")).to_have_count(0)
