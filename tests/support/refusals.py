"""What every refusal of the API has in common."""

from __future__ import annotations

from typing import Any

from tests.support.http_server import Reply


def refused(reply: Reply, *codes: str) -> dict[str, Any]:
    """The problem of a refusal, which is told by a 4xx; its code is one of ``codes``, if any are given."""
    assert 400 <= reply.status < 500, reply
    assert reply.code in codes or not codes, reply
    assert reply.json["detail"]
    facts: dict[str, Any] = reply.json["facts"]
    return facts
