"""The transport to a server: what it sends, what it makes of answers, and of none."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from uuid import UUID, uuid4

import msgspec
import pytest

from runfold import VERSION
from runfold._connection import Connection
from runfold._http import HttpTransport
from runfold._transport import Batch, Item
from runfold_events.contract import commands as c
from runfold_events.contract.codec import decode_command_batch
from runfold_events.contract.envelope import MSGPACK
from runfold_events.contract.errors import (
    Invalid,
    NotFound,
    PositionNotReached,
    PropertyImmutable,
    RunfoldError,
    Unauthorized,
    Unavailable,
)
from runfold_events.contract.submission import Accepted, Refused
from runfold_projections.model import ChildCounts, RunQuery
from tests.support.fake_server import (
    DROPPED,
    FakeServer,
    Heard,
    Reply,
    fake_server,
    over_ledger,
    packed,
    problem,
)
from tests.support.sdk import Wire

COUNTS = ChildCounts()


@pytest.fixture
def server() -> Iterator[FakeServer]:
    """Answers every question with counts, until it is told otherwise."""
    with fake_server(lambda _: packed(COUNTS)) as fake:
        yield fake


@pytest.fixture
def transport(server: FakeServer) -> Iterator[HttpTransport]:
    transport = HttpTransport(server.url, "secret", f"00-{'a' * 32}-{'b' * 16}-01")
    yield transport
    transport.close()


def a_batch() -> Batch:
    item = Item(c.SetTags(run_id="a", tags={"k": "v"}), 3, 1_700_000_000_000_000)
    return Batch(workspace="w", writer_id=UUID(int=5), items=[item], hold=True)


# ── what is sent ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_request_says_who_it_is_from_and_what_it_carries(
    server: FakeServer, transport: HttpTransport
) -> None:
    server.answer = lambda heard: packed({"token": "t", "outcomes": [Accepted(token="t")]})
    answer = transport.submit(a_batch())

    assert answer.outcomes == [Accepted(token="t")]
    assert answer.token == "t"
    (heard,) = server.heard
    assert (heard.method, heard.path) == ("POST", "/api/v1/commands")
    assert heard.headers["authorization"] == "Bearer secret"
    assert heard.headers["runfold-writer"] == str(UUID(int=5))
    assert heard.headers["traceparent"] == f"00-{'a' * 32}-{'b' * 16}-01"
    assert heard.headers["user-agent"] == f"runfold/{VERSION}"
    assert heard.headers["accept"] == heard.headers["content-type"] == MSGPACK
    batch = decode_command_batch(MSGPACK, heard.body)
    assert batch == c.CommandBatch(
        workspace="w",
        hold=True,
        commands=(
            c.CommandItem(
                command=c.SetTags(run_id="a", tags={"k": "v"}),
                writer_seq=3,
                occurred_at=1_700_000_000_000_000,
            ),
        ),
    )


@pytest.mark.parametrize(
    ("commands", "preferred"),
    [
        (
            [c.CreateRun(run_id="a", experiment="e"), c.CreateRun(run_id="b", experiment="e")],
            "return=minimal",
        ),
        ([c.CreateRun(run_id="a", experiment="e"), c.RequestCancel(run_id="b")], None),
    ],
)
def test_answers_are_short_where_nobody_looks_at_events(
    server: FakeServer, transport: HttpTransport, commands: list[c.Command], preferred: str | None
) -> None:
    server.answer = lambda heard: packed({"token": "t", "outcomes": [Accepted(token="t")] * 2})
    items = [Item(command, 1, 1_700_000_000_000_000) for command in commands]
    transport.submit(Batch(workspace="w", writer_id=UUID(int=5), items=items))

    assert server.heard[0].headers.get("prefer") == preferred


def test_outcomes_are_read_with_their_facts(server: FakeServer, transport: HttpTransport) -> None:
    refused = Refused(code="run_ended", message="no", facts={"status": "Completed"})
    server.answer = lambda heard: packed({"token": None, "outcomes": [refused]})

    assert transport.submit(a_batch()).outcomes == [refused]


def test_questions_name_a_position_and_how_long_to_wait_for_it(
    server: FakeServer, transport: HttpTransport
) -> None:
    transport.child_counts("w", "a", "epoch:0=5")
    transport.child_counts("w", "a", None)

    assert server.heard[0].headers["runfold-position"] == "epoch:0=5"
    assert float(server.heard[0].headers["runfold-wait"]) > 0
    assert "runfold-position" not in server.heard[1].headers


def test_paths_and_parameters_are_quoted(server: FakeServer, transport: HttpTransport) -> None:
    server.answer = lambda heard: packed([])
    transport.metrics("w", "a/b?c", ("scale factor", "é&x"), True, 5, None)
    transport.history("w", "a", 3, 7, None)
    transport.experiments("w", False, None)
    with pytest.raises(Unavailable, match="not as a runfold server"):
        transport.experiment("w", "Aé", None)

    assert [heard.path for heard in server.heard[:4]] == [
        "/api/v1/workspaces/w/runs/a%2Fb%3Fc/metrics"
        "?name=scale+factor&name=%C3%A9%26x&recursive=true&points_max=5",
        "/api/v1/workspaces/w/runs/a/history?from_seq=3&limit=7",
        "/api/v1/workspaces/w/experiments",
        "/api/v1/workspaces/w/experiments/A%C3%A9",
    ]


def test_a_query_is_a_body(server: FakeServer, transport: HttpTransport) -> None:
    server.answer = lambda heard: packed({"count": 3})
    query = RunQuery(filter='tags.k = "v"', limit=5)

    assert transport.count("w", query, None) == 3
    assert server.heard[0].path == "/api/v1/workspaces/w/runs:count"
    assert msgspec.msgpack.decode(server.heard[0].body, type=RunQuery) == query


def test_leases(server: FakeServer, transport: HttpTransport) -> None:
    process = uuid4()
    server.answer = lambda heard: packed({"cancel_requested": ["w/a"], "lease_s": 120.0})
    assert transport.heartbeat(process, {"w/run/a": 7}).cancel_requested == ("w/a",)
    server.answer = lambda heard: Reply(204)
    transport.release(process)

    assert [(heard.method, heard.path) for heard in server.heard] == [
        ("PUT", f"/api/v1/processes/{process}"),
        ("DELETE", f"/api/v1/processes/{process}"),
    ]
    assert msgspec.msgpack.decode(server.heard[0].body) == {"last_numbers": {"w/run/a": 7}}


def test_connections_are_kept(server: FakeServer, transport: HttpTransport) -> None:
    for _ in range(5):
        transport.child_counts("w", "a", None)

    assert server.connections == 1


# ── what is answered ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (problem(400, "invalid", "bad", field="tags"), Invalid),
        (problem(401, "unauthorized", "who?"), Unauthorized),
        (problem(403, "forbidden", "no"), Unauthorized),
        (problem(404, "not_found", "no run"), NotFound),
        (problem(409, "property_immutable", "no", current="a"), PropertyImmutable),
        (problem(409, "position_not_reached", "behind", position="p"), PositionNotReached),
        (Reply(404, b"<html>nothing here</html>"), RunfoldError),
        (Reply(302, b"", {"Location": "http://elsewhere"}), RunfoldError),
        (Reply(407, b""), Unauthorized),
    ],
)
def test_errors_keep_their_kind_and_are_not_tried_again(
    server: FakeServer, transport: HttpTransport, reply: Reply, error: type[RunfoldError]
) -> None:
    server.answer = lambda heard: reply
    with pytest.raises(RunfoldError) as caught:
        transport.child_counts("w", "a", None)

    assert type(caught.value) is error
    assert len(server.heard) == 1
    if error is Invalid:
        assert caught.value.facts == {"field": "tags"}


@pytest.mark.parametrize(
    "reply",
    [
        problem(503, "unavailable", "later"),
        problem(429, "too_many_requests", "slower"),
        problem(500, "error", "oh"),
        Reply(502, b"<html>bad gateway</html>"),
        Reply(200, b"<html>log in to the hotel's network</html>"),
        DROPPED,
    ],
    ids=["503", "429", "500", "502", "no msgpack", "dropped"],
)
def test_questions_are_asked_again_where_that_may_help(
    server: FakeServer, transport: HttpTransport, reply: Reply
) -> None:
    replies = iter([reply, reply])
    server.answer = lambda heard: next(replies, packed(COUNTS))

    assert transport.child_counts("w", "a", None) == COUNTS
    assert len(server.heard) == 3


def test_commands_are_tried_once_here_and_say_how_long_to_wait(
    server: FakeServer, transport: HttpTransport
) -> None:
    busy = problem(503, "unavailable", "later")
    busy.headers["Retry-After"] = "7"
    server.answer = lambda heard: busy
    with pytest.raises(Unavailable) as caught:
        transport.submit(a_batch())

    assert caught.value.retry_after == 7.0
    assert len(server.heard) == 1


def test_nobody_listens() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        transport = HttpTransport(f"http://127.0.0.1:{unused.getsockname()[1]}")
        with pytest.raises(Unavailable, match="cannot be reached"):
            transport.submit(a_batch())


# ── delivery ──────────────────────────────────────────────────────────────────────────────────────────────


def test_an_answer_that_is_lost_on_the_wire_is_asked_for_again_under_the_same_numbers() -> None:
    """The server commits and the connection breaks: after the retry there is one effect, and its true answer."""
    wire = Wire()
    served = over_ledger(wire)
    lost: list[Heard] = []

    def lose_every_other(heard: Heard) -> Reply:
        reply = served(heard)
        if heard.path == "/api/v1/commands" and heard.body not in [each.body for each in lost]:
            lost.append(heard)
            return DROPPED
        return reply

    with fake_server(lose_every_other) as server:
        connection = Connection(lambda: HttpTransport(server.url))
        connection.call(connection.experiment_stream("w", "e"), c.EnsureExperiment(experiment="e"))
        run = connection.run_stream("w", "a")
        created = connection.call(run, c.CreateRun(run_id="a", experiment="e"))
        connection.call(run, c.AddProperties(run_id="a", properties={"p": "1"}))
        with pytest.raises(PropertyImmutable):
            connection.call(run, c.AddProperties(run_id="a", properties={"p": "2"}))
        connection.close()

    assert created is not None
    assert created.repeated
    assert [event.type for event in created.events] == ["run.created", "run.started"]
    history = wire.history("w", "a", 1, 100, None)
    assert [entry.type for entry in history] == [
        "run.created",
        "run.started",
        "run.properties_added",
        "run.command_rejected",
    ]
    assert len(lost) == 4
    wire.close()


def test_a_server_that_hangs_costs_two_seconds_once() -> None:
    go_on = threading.Event()
    wire = Wire()
    served = over_ledger(wire)

    def hang(heard: Heard) -> Reply:
        go_on.wait(20)
        return served(heard)

    with fake_server(hang) as server:
        connection = Connection(lambda: HttpTransport(server.url))
        started = time.monotonic()
        stream = connection.experiment_stream("w", "e")
        for n in range(3):
            assert connection.call(stream, c.UpdateExperiment(experiment="e", set_tags={"n": str(n)})) is None
        assert 1.9 < time.monotonic() - started < 4
        go_on.set()
        assert connection.flush(20)
        connection.close()
    wire.close()
