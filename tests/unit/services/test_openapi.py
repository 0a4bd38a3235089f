"""What is described is what is served."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest

from runfold_events.contract.commands import INTERNAL_COMMANDS
from runfold_services.api.app import create_app
from runfold_services.api.auth import Credentials
from runfold_services.api.openapi import description, document
from runfold_services.api.operations import Operation
from runfold_services.api.routes import OPERATIONS
from runfold_services.runtime import Runtime
from runfold_services.settings import ServerSettings
from tests.support.fake_backend import FakeBackend

DOCUMENT = document(OPERATIONS)
each_operation = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)


def described(operation: Operation) -> dict[str, Any]:
    found: dict[str, Any] = DOCUMENT["paths"][operation.path][operation.method.lower()]
    return found


def references(document: dict[str, Any]) -> set[str]:
    text = msgspec.json.encode(document).decode()
    return set(re.findall(r'"#/components/schemas/(\w+)"', text))


def test_the_document_is_openapi_3_1_and_json() -> None:
    told = msgspec.json.decode(description(OPERATIONS))
    assert told["openapi"] == "3.1.0"
    assert told["info"]["title"] == "runfold"
    assert told == msgspec.json.decode(msgspec.json.encode(DOCUMENT))


def test_every_route_is_described_and_every_description_is_routed() -> None:
    app = create_app(Runtime(FakeBackend(), ServerSettings()), Credentials())
    routed = {
        (method, re.sub(r":str}", "}", route.path_format))
        for route in app.litestar.routes
        for method in route.methods
        if method != "OPTIONS"
    }
    listed = {(operation.method, operation.path) for operation in OPERATIONS}
    told = {(method.upper(), path) for path, methods in DOCUMENT["paths"].items() for method in methods}
    assert routed == listed == told
    assert len(listed) == len(OPERATIONS), "two operations share a method and a path"


def test_names_of_operations_are_unique() -> None:
    names = [operation.name for operation in OPERATIONS]
    assert len(set(names)) == len(names)


def test_every_reference_has_its_schema_and_every_schema_is_used() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    assert references(DOCUMENT) == set(schemas)


@each_operation
def test_path_parameters_are_described(operation: Operation) -> None:
    names = [p["name"] for p in described(operation)["parameters"] if p["in"] == "path"]
    assert names == re.findall(r"{(\w+)}", operation.path)


@each_operation
def test_query_parameters_are_those_that_are_read(operation: Operation) -> None:
    names = {p["name"] for p in described(operation)["parameters"] if p["in"] == "query"}
    fields = () if operation.query is None else msgspec.structs.fields(operation.query)
    assert names == {field.encode_name for field in fields}


ARROW = "application/vnd.apache.arrow.stream"  # what some questions can be answered in besides


@each_operation
def test_bodies_and_answers_come_in_both_formats_and_errors_are_problems(operation: Operation) -> None:
    told = described(operation)
    both = {"application/json", "application/msgpack"}
    if operation.body is not None:
        assert set(told["requestBody"]["content"]) == both
    for status, response in told["responses"].items():
        if int(status) >= 400:
            assert set(response["content"]) == {"application/problem+json"}
        elif operation.answer is not None:
            assert set(response["content"]) - {ARROW} == both


@each_operation
def test_every_operation_says_what_it_does(operation: Operation) -> None:
    told = described(operation)
    assert told["summary"]
    assert "``" not in msgspec.json.encode(told).decode()
    assert ":class:" not in msgspec.json.encode(told).decode()


def test_commands_that_are_refused_from_outside_are_not_offered() -> None:
    text = msgspec.json.encode(DOCUMENT["components"]["schemas"]["CommandItem"]).decode()
    assert not any(kind.__name__ in text for kind in INTERNAL_COMMANDS)
    assert "run.create" in text


def test_only_health_is_open() -> None:
    assert {o.path for o in OPERATIONS if o.is_open} == {"/health/live", "/health/ready", "/metrics"}
