"""Who may talk to a server, and from where."""

from __future__ import annotations

from pathlib import Path

import pytest

from runfold_events.contract.errors import Invalid, Unauthorized
from runfold_services.api.auth import (
    ANONYMOUS,
    check_browser,
    check_listen_address,
    is_loopback,
    load_credentials,
)

OPEN = load_credentials(None, None)
CLOSED = load_credentials("s3cret", None)


def test_without_tokens_everybody_on_this_machine_is_the_same_actor() -> None:
    assert OPEN.actor_of(None) == ANONYMOUS
    assert OPEN.actor_of("Bearer whatever") == ANONYMOUS
    assert ANONYMOUS.admin


def test_the_one_token_stands_for_an_admin() -> None:
    actor = CLOSED.actor_of("Bearer s3cret")
    assert (actor.name, actor.source, actor.admin) == ("default", "token", True)
    assert CLOSED.actor_of("bearer  s3cret") == actor


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        "Basic s3cret",
        "s3cret",
        "Bearer s3cret x",
        "Bearer s3cré",
    ],
)
def test_anything_else_is_unauthorized(header: str | None) -> None:
    with pytest.raises(Unauthorized) as refused:
        CLOSED.actor_of(header)
    assert "s3cret" not in str(refused.value)


def test_a_file_names_its_tokens_and_says_who_is_admin(tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    path.write_text("# who may come in\nalice aaaa admin\nbob   bbbb  # a colleague\n\n")
    credentials = load_credentials("cccc", path)
    assert credentials.actor_of("Bearer aaaa").admin
    bob = credentials.actor_of("Bearer bbbb")
    assert (bob.name, bob.admin) == ("bob", False)
    assert credentials.actor_of("Bearer cccc").name == "default"


@pytest.mark.parametrize("text", ["alice", "alice aaaa boss", "alice a b c", "", "# nobody\n", "alice töken"])
def test_a_file_that_is_wrong_is_told_by_line_and_never_by_token(tmp_path: Path, text: str) -> None:
    path = tmp_path / "tokens"
    path.write_text(text)
    with pytest.raises(Invalid) as refused:
        load_credentials(None, path)
    assert "aaaa" not in str(refused.value)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="cannot be read"):
        load_credentials(None, tmp_path / "nowhere")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "localhost", "LocalHost", "::1", "[::1]"])
def test_loopback_needs_no_token(host: str) -> None:
    assert is_loopback(host)
    check_listen_address(host, OPEN)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.org", "", "127.0.0.1.example.org"])
def test_other_addresses_do(host: str) -> None:
    assert not is_loopback(host)
    check_listen_address(host, CLOSED)
    with pytest.raises(Unauthorized, match="RUNFOLD_TOKEN"):
        check_listen_address(host, OPEN)


@pytest.mark.parametrize("host", ["127.0.0.1:8765", "localhost:8765", "[::1]:8765", "localhost", "[::1]"])
def test_a_loopback_host_header_is_fine(host: str) -> None:
    check_browser({"host": host}, "GET", OPEN)


@pytest.mark.parametrize("host", ["evil.example:8765", "", "localhost.evil.example", "10.0.0.1:8765"])
def test_a_name_that_was_made_to_resolve_to_this_machine_is_refused(host: str) -> None:
    with pytest.raises(Unauthorized) as refused:
        check_browser({"host": host}, "GET", OPEN)
    assert refused.value.code == "forbidden"
    check_browser({"host": host}, "GET", CLOSED)


def test_pages_of_other_origins_cannot_write() -> None:
    own = {"host": "localhost:8765", "origin": "http://localhost:8765"}
    check_browser(own, "POST", OPEN)
    for origin in ("http://evil.example", "null", "http://localhost:9999", ""):
        with pytest.raises(Unauthorized, match="Origin"):
            check_browser(own | {"origin": origin}, "POST", OPEN)
