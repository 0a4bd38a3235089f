"""The OpenAPI 3.1 document, made from the list of operations: what is served is what is described."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.metadata import version
from typing import Any, Final

import msgspec
from msgspec import Struct

from runfold_events.contract import limits
from runfold_events.contract.commands import INTERNAL_COMMANDS
from runfold_events.contract.envelope import JSON, MSGPACK
from runfold_events.contract.schemas import plain_text
from runfold_services.api.operations import Operation
from runfold_services.api.parameters import COMMA_SEPARATED
from runfold_services.api.problems import PROBLEM_JSON, STATUS_OF_CODE, Problem

Document = dict[str, Any]

_REF: Final = "#/components/schemas/{name}"
_DESCRIPTION: Final = """\
Commands go in, questions are answered from views; bodies are JSON or msgpack by Content-Type and Accept.
JSON carries NaN and infinities as the strings "NaN", "Infinity", "-Infinity". Every error is a problem with a stable
`code` and `facts`. See docs/http-api.md."""

_BYTES: Final = {"schema": {"type": "string", "format": "binary"}}
_ANY_BYTES: Final = {"*/*": _BYTES}
_NON_FINITE: Final = ["NaN", "Infinity", "-Infinity"]

_PATH_PARAMETERS: Final[dict[str, Document]] = {
    "workspace": {"type": "string", "maxLength": limits.WORKSPACE_NAME_CHARS_MAX},
    "experiment": {"type": "string", "maxLength": limits.EXPERIMENT_NAME_CHARS_MAX},
    "run_id": {
        "type": "string",
        "maxLength": limits.RUN_ID_CHARS_MAX,
        "pattern": r"^[A-Za-z0-9_.\-]+$",
    },
    "process_id": {"type": "string", "format": "uuid"},
    "file_path": {"type": "string", "maxLength": limits.ARTIFACT_PATH_CHARS_MAX},
    "sha256": {"type": "string", "pattern": r"^[0-9a-f]{64}$"},
    "name": {"type": "string", "pattern": r"^[0-9]+-[0-9]+$"},
}

_POSITION: Final[Document] = {"type": "string", "description": "epoch:partition=pos,…"}


def _header(name: str, text: str, schema: Document) -> Document:
    return {"name": name, "in": "header", "required": False, "description": text, "schema": schema}


_COMMAND_HEADERS: Final = (
    _header(
        "Runfold-Writer",
        "the process that numbers its commands; see also Runfold-Writer-Seq",
        {"type": "string", "format": "uuid"},
    ),
    _header(
        "Runfold-Writer-Seq",
        "the number of the (first) command on its stream, where the body has none",
        {"type": "integer", "minimum": 1},
    ),
    _header(
        "Idempotency-Key",
        "without Runfold-Writer: a repeated request with the same key takes effect once",
        {"type": "string", "minLength": 1, "maxLength": limits.IDEMPOTENCY_KEY_CHARS_MAX},
    ),
    _header("traceparent", "W3C trace context, kept with the events", {"type": "string"}),
)
_QUESTION_HEADERS: Final = (
    _header("Runfold-Position", "answer at or after this position", _POSITION),
    _header(
        "Runfold-Wait",
        "seconds to wait for that position before 409 position_not_reached",
        {"type": "number", "minimum": 0, "maximum": limits.POSITION_WAIT_S_MAX, "default": 5},
    ),
)
_BRIEF_HEADERS: Final = (
    _header(
        "Prefer",
        "return=minimal: what is accepted is answered without its events",
        {"type": "string"},
    ),
)
_STREAM_HEADERS: Final = (_header("Last-Event-ID", "resume after this message", {"type": "string"}),)


@cache
def description(operations: Sequence[Operation]) -> bytes:
    """The document as JSON."""
    return msgspec.json.encode(document(operations))


def document(operations: Sequence[Operation]) -> Document:
    """The document."""
    types = list(_types(operations))
    _, schemas = msgspec.json.schema_components(types, ref_template=_REF)
    paths: dict[str, Document] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, schemas)
    for operation in operations:
        if operation.query is not None:
            schemas.pop(operation.query.__name__, None)
    _say_what_types_cannot(schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "runfold", "version": version("runfold"), "description": _DESCRIPTION},
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _say_what_types_cannot(schemas: Document) -> None:
    """The Structs are those of the program; some things about their JSON stand elsewhere."""
    for schema in schemas.values():
        if "description" in schema:
            schema["description"] = plain_text(schema["description"])
    schemas["LogMetrics"]["properties"]["batch"] = {"$ref": _REF.format(name="MetricBatch")}
    for name in ("min", "max"):
        schemas["MetricSummary"]["properties"][name]["anyOf"].append({"enum": _NON_FINITE})
    command = schemas["CommandItem"]["properties"]["command"]
    for kind in INTERNAL_COMMANDS:
        reference = _REF.format(name=kind.__name__)
        command["anyOf"] = [option for option in command["anyOf"] if option["$ref"] != reference]
        mapping = command["discriminator"]["mapping"]
        command["discriminator"]["mapping"] = {tag: ref for tag, ref in mapping.items() if ref != reference}
        del schemas[kind.__name__]


def _types(operations: Iterable[Operation]) -> Iterable[Any]:
    yield Problem
    for operation in operations:
        kinds = (operation.body, operation.answer, operation.answer_packed, operation.query)
        yield from (kind for kind in kinds if kind is not None)


def _operation(operation: Operation, schemas: Document) -> Document:
    told: Document = {
        "operationId": operation.name,
        "tags": [operation.tag],
        "summary": operation.summary,
        "parameters": list(_parameters(operation, schemas)),
        "responses": _responses(operation),
        # An empty requirement: a server on loopback may have no tokens configured.
        "security": [] if operation.is_open else [{"token": []}, {}],
    }
    text = inspect.getdoc(operation.run)
    if text:
        told["description"] = plain_text(text)
    if operation.body is not None:
        told["requestBody"] = {
            "required": not operation.body_is_optional,
            "content": _both(_schema(operation.body)),
        }
    if operation.body_is_stream:
        told["requestBody"] = {"required": True, "content": _ANY_BYTES}
    return told


def _parameters(operation: Operation, schemas: Document) -> Iterable[Document]:
    for name in re.findall(r"{(\w+)}", operation.path):
        yield {"name": name, "in": "path", "required": True, "schema": _PATH_PARAMETERS[name]}
    if operation.query is not None:
        yield from _query_parameters(operation.query, schemas)
    if operation.is_command:
        yield from _COMMAND_HEADERS
    if operation.is_question:
        yield from _QUESTION_HEADERS
    if operation.answer_may_be_brief:
        yield from _BRIEF_HEADERS
    if operation.is_stream:
        yield from _STREAM_HEADERS


def _query_parameters(query: type[Struct], schemas: Document) -> Iterable[Document]:
    of_query = schemas[query.__name__]
    for name, schema in of_query["properties"].items():
        is_required = name in of_query["required"]
        told: Document = {
            "name": name,
            "in": "query",
            "required": is_required,
            "schema": _without_null(schema),
        }
        if schema.get("type") == "array":
            told |= {"style": "form", "explode": name not in COMMA_SEPARATED}
        yield told


def _without_null(schema: Document) -> Document:
    """An absent parameter is left out; there is no null in a query string."""
    options = [option for option in schema.get("anyOf", ()) if option != {"type": "null"}]
    return options[0] if len(options) == 1 else schema


def _responses(operation: Operation) -> Document:
    responses: Document = {}
    for status in operation.statuses:
        response: Document = {"description": _MEANINGS.get(status, "done")}
        if operation.answer is not None:
            response["content"] = _both(_schema(operation.answer))
            if operation.answer_packed is not None:
                response["content"][MSGPACK] = {"schema": _schema(operation.answer_packed)}
            response["content"] |= dict.fromkeys(operation.answer_others, _BYTES)
        elif operation.answer_is_file:
            response["content"] = _ANY_BYTES
        elif operation.answer_type is not None:
            response["content"] = {operation.answer_type: {"schema": {"type": "string"}}}
        if operation.is_command or operation.is_question:
            response["headers"] = {"Runfold-Position": {"schema": _POSITION}}
        responses[str(status)] = response
    problem = {PROBLEM_JSON: {"schema": {"$ref": _REF.format(name="Problem")}}}
    for status in sorted(_problem_statuses(operation)):
        codes = sorted(code for code, its in STATUS_OF_CODE.items() if its == status)
        responses[str(status)] = {"description": "code: " + ", ".join(codes), "content": problem}
    return responses


_MEANINGS: Final = {200: "done", 201: "created", 204: "done; no content"}


def _problem_statuses(operation: Operation) -> set[int]:
    """What may go wrong, beside what may always go wrong with HTTP itself (405, 408, 431)."""
    statuses = {400, 403, 413, 503}
    if not operation.is_open:
        statuses.add(401)
    if (
        "{run_id}" in operation.path
        or "{experiment}" in operation.path
        or operation.is_command
        or operation.finds_one
    ):
        statuses.add(404)
    if operation.is_command or operation.is_question or operation.tag == "files":
        statuses.add(409)
    if operation.is_command:
        statuses.add(422)
    if operation.body is not None or operation.body_is_stream:
        statuses |= {408, 415}
    return statuses


def _both(schema: Document) -> Document:
    return {JSON: {"schema": schema}, MSGPACK: {"schema": schema}}


def _schema(kind: Any) -> Document:
    (schema,), _ = msgspec.json.schema_components([kind], ref_template=_REF)
    return schema
