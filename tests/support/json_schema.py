"""As much of JSON Schema as an OpenAPI document made by msgspec needs: says where a value breaks its schema."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final, cast

Schema = dict[str, Any]

_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
    "array": (list,),
    "object": (dict,),
}
_SHAPES: Final = {"$ref", "anyOf", "enum", "type", "items", "properties", "required", "additionalProperties"}
_BOUNDS: Final = {"minimum", "maximum", "minLength", "maxLength", "pattern", "minItems", "maxItems", "format"}
_OTHERS: Final = {"title", "description", "default", "discriminator", "contentEncoding", "prefixItems"}
_KNOWN: Final = _SHAPES | _BOUNDS | _OTHERS | {"propertyNames"}


def faults(value: Any, schema: Schema, schemas: Schema, at: str = "$") -> Iterator[str]:
    """Every place where ``value`` is not as ``schema`` says; ``schemas`` are the document's components."""
    unknown = set(schema) - _KNOWN
    assert not unknown, f"this checker knows nothing of {unknown}"
    if "$ref" in schema:
        yield from faults(value, schemas[schema["$ref"].rpartition("/")[2]], schemas, at)
        return
    if "anyOf" in schema:
        tried = [list(faults(value, option, schemas, at)) for option in schema["anyOf"]]
        if all(tried):
            yield f"{at}: {value!r} is none of {len(tried)} options: {min(tried, key=len)}"
        return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{at}: {value!r} is none of {schema['enum']}"
    yield from _faults_of_type(value, schema, at)
    if isinstance(value, dict):
        yield from _faults_of_object(cast("dict[str, Any]", value), schema, schemas, at)
    elif isinstance(value, list):
        items: list[Any] = cast("Any", value)
        for index, item in enumerate(items):
            yield from faults(item, schema.get("items") or {}, schemas, f"{at}[{index}]")


def _faults_of_type(value: Any, schema: Schema, at: str) -> Iterator[str]:
    named = schema.get("type")
    if named is None:
        return
    is_wrong_bool = isinstance(value, bool) and named != "boolean"
    if is_wrong_bool or not isinstance(value, _TYPES[named]):
        yield f"{at}: {value!r} is no {named}"
    elif isinstance(value, str) and "pattern" in schema and not re.search(schema["pattern"], value):
        yield f"{at}: {value!r} does not match {schema['pattern']}"


def _faults_of_object(value: dict[str, Any], schema: Schema, schemas: Schema, at: str) -> Iterator[str]:
    properties = schema.get("properties", {})
    more = schema.get("additionalProperties", True)
    for name in schema.get("required", ()):
        if name not in value:
            yield f"{at}: {name} is missing"
    for name, inner in value.items():
        if name in properties:
            yield from faults(inner, properties[name], schemas, f"{at}.{name}")
        elif more is False or ("title" in schema and properties and more is True):
            yield f"{at}: {name} is not described"
        elif isinstance(more, dict):
            yield from faults(inner, cast("Schema", more), schemas, f"{at}.{name}")
