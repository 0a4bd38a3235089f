"""The documents of the Kafka contract say what the code says, and are what they claim to be."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final, cast

import msgspec
import pytest
from jsonschema import Draft7Validator, Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT7

from runfold_events.contract.cloudevents import plain_type
from runfold_events.contract.schemas import COMMAND_HEADERS, EVENT_HEADERS, REPLY_HEADERS, Header
from tests.compatibility.records import GoldenRecord, payload
from tests.support.contract_files import ASYNCAPI, FOLDER, contract_files, golden_records
from tests.support.repository import ROOT

pytestmark = pytest.mark.source_tree

OFFICIAL: Final = ROOT / "tests" / "support" / "asyncapi" / "asyncapi-3.0.0.schema.json"
KINDS: Final = {"commands": COMMAND_HEADERS, "events": EVENT_HEADERS, "replies": REPLY_HEADERS}


def load(name: str) -> Any:
    return msgspec.json.decode((FOLDER / name).read_bytes())


DOCUMENT: Final = load(ASYNCAPI)
MESSAGES: Final[dict[str, Any]] = DOCUMENT["components"]["messages"]
official: Final[Any] = Draft7Validator(msgspec.json.decode(OFFICIAL.read_bytes()))


def test_the_documents_are_what_the_code_says() -> None:
    committed = {p.relative_to(FOLDER).as_posix(): p.read_bytes() for p in FOLDER.rglob("*.json")}
    told = contract_files()
    assert committed.keys() == told.keys()
    differing = [name for name in told if told[name] != committed[name]]
    assert differing == [], "run: .venv/bin/python -m tests.support.reference"


# ── AsyncAPI ──────────────────────────────────────────────────────────────────────────────────────────────


def test_the_document_is_asyncapi_3() -> None:
    assert [error.message for error in official.iter_errors(DOCUMENT)] == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("operations/sendEvent/action", "publish"),
        ("channels/events/bindings/kafka/partitions", "16"),
        ("components/messages/RunCreated/examples", [{"body": 1}]),
        ("components/schemas/RunCreated/type", "struct"),
        ("asyncapi", "2.6.0"),
    ],
)
def test_a_document_that_is_not_is_told(path: str, value: Any) -> None:
    changed = msgspec.json.decode(msgspec.json.encode(DOCUMENT))
    *before, last = path.split("/")
    place = changed
    for name in before:
        place = place[name]
    assert last in place
    place[last] = value
    assert list(official.iter_errors(changed)) != []


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        fields = cast("dict[str, Any]", value)
        if "$ref" in fields:
            yield fields["$ref"]
        yield from references(list(fields.values()))
    elif isinstance(value, list):
        for inner in cast("Any", value):
            yield from references(inner)


def test_every_reference_leads_somewhere_and_every_schema_is_used() -> None:
    named = set(references(DOCUMENT))
    for reference in named:
        place = DOCUMENT
        for part in reference.removeprefix("#/").split("/"):
            place = place[part]
    schemas = {f"#/components/schemas/{name}" for name in DOCUMENT["components"]["schemas"]}
    assert schemas - named == set()


def in_document(pointer: str) -> Any:
    """A validator for a schema inside the document."""
    empty: Any = Registry
    registry = empty().with_resource("urn:asyncapi", Resource.from_contents(DOCUMENT, DRAFT7))
    return Draft7Validator({"$ref": f"urn:asyncapi#{pointer}"}, registry=registry)


@pytest.mark.parametrize("name", MESSAGES)
def test_examples_are_as_their_message_says(name: str) -> None:
    examples = MESSAGES[name].get("examples", [])
    assert examples, "every message has an example"
    for example in examples:
        for part in ("headers", "payload"):
            validator = in_document(f"/components/messages/{name}/{part}")
            assert [error.message for error in validator.iter_errors(example[part])] == []


def test_an_example_of_another_message_is_told() -> None:
    example = MESSAGES["RunCreated"]["examples"][0]
    for part in ("headers", "payload"):
        assert not in_document(f"/components/messages/RunFailed/{part}").is_valid(example[part])


def test_every_message_is_on_its_channel_and_in_its_operation() -> None:
    listed = [name for channel in DOCUMENT["channels"].values() for name in channel["messages"]]
    assert sorted(listed) == sorted(MESSAGES)
    receive, send = DOCUMENT["operations"]["receiveCommand"], DOCUMENT["operations"]["sendEvent"]
    operated = [*receive["messages"], *receive["reply"]["messages"], *send["messages"]]
    assert {ref["$ref"].rpartition("/")[2] for ref in operated} == set(MESSAGES)


# ── JSON Schemas ──────────────────────────────────────────────────────────────────────────────────────────


def schema_of(kind: str, record: GoldenRecord) -> Any:
    name = "schemas/reply.json" if kind == "replies" else f"schemas/{kind}/{type_of(record)}.json"
    return Draft202012Validator(load(name), format_checker=Draft202012Validator.FORMAT_CHECKER)


def type_of(record: GoldenRecord) -> str:
    return plain_type(record.headers["ce_type"])


@pytest.mark.parametrize("path", sorted(FOLDER.glob("schemas/**/*.json")), ids=lambda path: path.stem)
def test_a_schema_is_json_schema_2020_12(path: Any) -> None:
    schema = msgspec.json.decode(path.read_bytes())
    assert schema["$schema"] == Draft202012Validator.META_SCHEMA["$id"]
    Draft202012Validator.check_schema(schema)
    assert not re.search(r"``|:\w+:`", path.read_text("utf-8"))


@pytest.mark.parametrize("kind", KINDS)
def test_every_golden_record_is_as_its_schema_says(kind: str) -> None:
    for name, record in golden_records(kind).items():
        if "ce_erased" in record.headers:
            assert payload(record) == ""
            continue
        validator = schema_of(kind, record)
        assert [error.message for error in validator.iter_errors(payload(record))] == [], name


@pytest.mark.parametrize("kind", KINDS)
def test_a_record_that_lacks_something_is_told(kind: str) -> None:
    for name, record in golden_records(kind).items():
        body = payload(record)
        if body == "":
            continue
        (required, *_) = [key for key in ("type", "series", "outcome") if key in body]
        validator = schema_of(kind, record)
        assert not validator.is_valid({key: value for key, value in body.items() if key != required}), name
        assert not validator.is_valid(body | {required: 5}), name


def test_what_runfold_sends_may_get_more_fields_and_what_it_takes_may_not() -> None:
    for kind in KINDS:
        for name, record in golden_records(kind).items():
            body = payload(record)
            if body != "":
                assert schema_of(kind, record).is_valid(body | {"since_later": 1}) == (kind != "commands"), (
                    name
                )
    texts = [path.read_text("utf-8") for path in FOLDER.glob("schemas/events/*.json")]
    assert not any('"additionalProperties": false' in text for text in texts)


# ── headers ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", KINDS)
def test_headers_are_those_that_are_described(kind: str) -> None:
    described: dict[str, Header] = {header.name: header for header in KINDS[kind]}
    all_records = golden_records(kind).values()
    seen = {name for record in all_records for name in record.headers}
    assert seen == described.keys()
    required = {header.name for header in described.values() if header.required}
    assert all(required <= record.headers.keys() for record in all_records)
