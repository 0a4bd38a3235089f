"""The documents in docs/contract, as the code says them: ``python -m tests.support.reference`` writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import msgspec

from runfold_events.contract.cloudevents import plain_type
from runfold_events.contract.envelope import MSGPACK
from runfold_events.contract.schemas import command_schemas, event_schemas, reply_schema
from runfold_services.contract_docs import ERASED, REPLY, Example, asyncapi, messages
from tests.compatibility.records import GoldenRecord, payload, read_golden
from tests.compatibility.write_goldens import GOLDEN, newest
from tests.support.repository import ROOT

FOLDER: Final = ROOT / "docs" / "contract"
ASYNCAPI: Final = "asyncapi.json"


def contract_files() -> dict[str, bytes]:
    """Every document by its path in ``docs/contract``."""
    files = {ASYNCAPI: _json(asyncapi(golden_examples()))}
    files |= {f"schemas/commands/{name}.json": _json(schema) for name, schema in command_schemas().items()}
    files |= {f"schemas/events/{name}.json": _json(schema) for name, schema in event_schemas().items()}
    return files | {"schemas/reply.json": _json(reply_schema())}


def write_contract_files() -> None:
    """Write all documents, and remove those that are no more."""
    files = contract_files()
    for path in sorted(FOLDER.rglob("*.json")):
        if path.relative_to(FOLDER).as_posix() not in files:
            path.unlink()
    for name, data in files.items():
        (FOLDER / name).parent.mkdir(parents=True, exist_ok=True)
        (FOLDER / name).write_bytes(data)


def golden_records(kind: str) -> dict[str, GoldenRecord]:
    """The newest release's records of a kind (``commands``, ``events``, ``replies``), by name."""
    folder: Path = GOLDEN / newest() / "records" / kind
    return {path.stem: read_golden(path.read_bytes()) for path in sorted(folder.glob("*.json"))}


def golden_examples() -> dict[str, list[Example]]:
    """The golden records as examples, by the name of their message."""
    by_title = {(message.title, message.content_type): message.name for message in messages()}
    found: dict[str, list[Example]] = {}
    for kind in ("commands", "events", "replies"):
        for name, record in golden_records(kind).items():
            message = REPLY if kind == "replies" else _message_of(record, by_title)
            found.setdefault(message, []).append(Example(name, record.headers, payload(record)))
    return found


def _message_of(record: GoldenRecord, by_title: dict[tuple[str, str | None], str]) -> str:
    if record.headers.get("ce_erased") == "true":
        return ERASED
    return by_title[plain_type(record.headers["ce_type"]), record.headers["content-type"]]


def is_msgpack(record: GoldenRecord) -> bool:
    """True where the value is a metric batch in msgpack."""
    return record.headers["content-type"] == MSGPACK


def _json(document: Any) -> bytes:
    return msgspec.json.format(msgspec.json.encode(document)) + b"\n"
