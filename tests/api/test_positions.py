"""Read your writes: a question names a position and gets at least that, or is told that it is not there."""

from __future__ import annotations

from uuid import uuid4

import pytest

from tests.support.http_server import Client

W = "/api/v1/workspaces/default"


def position_after(token: str, further: int) -> str:
    epoch, _, end = token.rpartition("=")
    return f"{epoch}={int(end) + further}"


@pytest.fixture
def token(client: Client) -> str:
    name = f"e{uuid4().hex}"
    return str(client.post(f"{W}/experiments", {"experiment": name}).json["token"])


def test_a_question_after_a_write_includes_it(client: Client) -> None:
    for index in range(30):
        name = f"e{uuid4().hex}"
        written = client.post(f"{W}/experiments", {"experiment": name})
        found = client.get(
            f"{W}/experiments/{name}", {"Runfold-Position": written.headers["runfold-position"]}
        )
        assert found.status == 200, index
        assert int(found.headers["runfold-position"].rpartition("=")[2]) >= int(
            written.json["token"].rpartition("=")[2]
        )


def test_a_position_that_is_not_there_is_told_with_the_present_one(client: Client, token: str) -> None:
    ahead = position_after(token, 1_000)
    reply = client.get(f"{W}/runs", {"Runfold-Position": ahead, "Runfold-Wait": "0.05"})
    assert (reply.status, reply.code) == (409, "position_not_reached")
    assert reply.headers["runfold-position"] == reply.json["facts"]["position"]
    assert int(reply.json["facts"]["position"].rpartition("=")[2]) >= int(token.rpartition("=")[2])


def test_a_position_of_another_epoch_is_refused_at_once(client: Client, token: str) -> None:
    other = f"{uuid4()}:0=1"
    reply = client.get(f"{W}/runs", {"Runfold-Position": other, "Runfold-Wait": "30"})
    assert (reply.status, reply.code) == (409, "position_not_reached")


@pytest.mark.parametrize(
    ("headers", "field"),
    [
        ({"Runfold-Position": "yesterday"}, "Runfold-Position"),
        ({"Runfold-Position": f"{uuid4()}:0=-1"}, "Runfold-Position"),
        ({"Runfold-Position": f"{uuid4()}:0=" + "9" * 5_000}, "Runfold-Position"),
        ({"Runfold-Wait": "-1"}, "Runfold-Wait"),
        ({"Runfold-Wait": "31"}, "Runfold-Wait"),
        ({"Runfold-Wait": "nan"}, "Runfold-Wait"),
        ({"Runfold-Wait": "soon"}, "Runfold-Wait"),
    ],
)
def test_malformed_positions_are_named(client: Client, headers: dict[str, str], field: str) -> None:
    reply = client.get(f"{W}/runs", headers)
    assert (reply.status, reply.json["facts"]["field"]) == (400, field)
