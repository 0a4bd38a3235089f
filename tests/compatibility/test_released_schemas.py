"""What teams built on a released version goes on working: the schemas of today break none of the released ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec
import pytest

from tests.compatibility.write_goldens import GOLDEN, SCHEMAS, schemas
from tests.support.contract_changes import broken

RELEASES: Final = sorted(folder.name for folder in GOLDEN.iterdir())


def released(release: str) -> Any:
    return msgspec.json.decode((GOLDEN / release / SCHEMAS).read_bytes())


@pytest.mark.parametrize("release", RELEASES)
def test_nothing_that_was_released_is_broken(release: str) -> None:
    assert broken(released(release), msgspec.json.decode(schemas())) == []


def definition(document: Any, kind: str, name: str) -> Any:
    schema = document[kind][name]
    return schema["$defs"][schema["$ref"].rpartition("/")[2]]


def lose_a_field(now: Any) -> None:
    del definition(now, "events", "run.created")["properties"]["number"]


def lose_a_field_inside(now: Any) -> None:
    del now["events"]["run.failed"]["$defs"]["ErrorInfo"]["properties"]["code"]


def require_a_field(now: Any) -> None:
    definition(now, "commands", "run.create")["required"].append("target")


def let_a_field_be_absent(now: Any) -> None:
    definition(now, "events", "run.created")["required"].remove("number")


def retype_a_field(now: Any) -> None:
    definition(now, "commands", "run.create")["properties"]["name"] = {"type": "integer"}


def give_null(now: Any) -> None:
    options = [{"type": "integer"}, {"type": "null"}]
    definition(now, "events", "run.created")["properties"]["number"] = {"anyOf": options}


def lose_a_value(now: Any) -> None:
    now["commands"]["run.advance"]["$defs"]["Status"]["enum"].remove("Queued")


def lose_a_type(now: Any) -> None:
    del now["events"]["run.lost"]


def use_a_name_again(now: Any) -> None:
    now["events"]["run.lost"] = now["events"]["run.archived"]


def change_a_default(now: Any) -> None:
    definition(now, "commands", "run.create")["properties"]["start"]["default"] = False


def close(now: Any) -> None:
    now["reply"]["$defs"]["Accepted"]["additionalProperties"] = False


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lose_a_field, "events: run.created.number is gone"),
        (lose_a_field_inside, "events: run.failed.error.code is gone"),
        (require_a_field, "commands: run.create.target is required now"),
        (let_a_field_be_absent, "events: run.created.number may be absent now"),
        (retype_a_field, "commands: run.create.name: may no longer be null, string"),
        (give_null, "events: run.created.number: may now be null"),
        (lose_a_value, "commands: run.advance.status: ['Queued'] is gone"),
        (lose_a_type, "events: run.lost is gone"),
        (use_a_name_again, "events: run.lost was RunLost and is RunArchived: a name is used again"),
        (change_a_default, "commands: run.create.start has another default"),
        (close, "reply: unknown fields are refused now"),
    ],
)
def test_a_change_that_breaks_somebody_is_told(change: Callable[[Any], None], told: str) -> None:
    now = msgspec.json.decode(schemas())
    change(now)
    assert told in broken(msgspec.json.decode(schemas()), now)


def add_fields_types_and_values(now: Any) -> None:
    created = definition(now, "events", "run.created")
    created["properties"]["priority"] = {"type": "integer", "default": 0}
    definition(now, "commands", "run.create")["properties"]["priority"] = {"type": "integer", "default": 0}
    now["events"]["run.advanced"]["$defs"]["Status"]["enum"].append("Dreaming")
    now["events"]["run.dreamt"] = now["events"]["run.lost"]
    definition(now, "commands", "run.create")["properties"]["name"]["anyOf"].append({"type": "integer"})


def test_additions_break_nobody() -> None:
    now = msgspec.json.decode(schemas())
    add_fields_types_and_values(now)
    assert broken(msgspec.json.decode(schemas()), now) == []
