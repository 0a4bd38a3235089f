"""The Studio's TypeScript types of the API, rendered from the same Structs that the API answers with.

``python -m tests.support.studio_types`` writes ``studio/src/api/types.ts``; a test compares.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from runfold_services.api.openapi import document
from runfold_services.api.routes import OPERATIONS
from tests.support.repository import ROOT

TYPES: Final[Path] = ROOT / "studio" / "src" / "api" / "types.ts"
_HEAD: Final = """\
// Rendered from the API's own types; a test compares. To write it anew: python -m tests.support.studio_types
"""
_PLAIN: Final = {
    "string": "string",
    "integer": "number",
    "number": "number",
    "boolean": "boolean",
    "null": "null",
}


def render() -> str:
    """Every schema of the OpenAPI document as a TypeScript type, in order of its name."""
    schemas: dict[str, Any] = document(OPERATIONS)["components"]["schemas"]
    omitting = {kind.__name__ for kind in _structs() if kind.__struct_config__.omit_defaults}
    answers = {kind.__name__ for kind in _answers()}
    return _HEAD + "".join(
        _declaration(name, schemas[name], is_whole=name in answers and name not in omitting)
        for name in sorted(schemas)
    )


def _declaration(name: str, schema: dict[str, Any], *, is_whole: bool) -> str:
    """``is_whole``: fields that have their default are sent all the same, so none of them is optional."""
    if schema.get("type") != "object" or "properties" not in schema:
        return f"\nexport type {name} = {_type(schema)};\n"
    required = schema.get("required", [])
    lines = [
        f"  {_key(key)}{'' if is_whole or key in required else '?'}: {_type(of)};\n"
        for key, of in schema["properties"].items()
    ]
    return f"\nexport interface {name} {{\n{''.join(lines)}}}\n"


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " | ".join(dict.fromkeys(_type(option) for option in schema["anyOf"]))
    if "enum" in schema:
        return " | ".join(json.dumps(value) for value in schema["enum"])
    kind = schema.get("type")
    if kind == "array":
        if "prefixItems" in schema:
            return f"[{', '.join(_type(item) for item in schema['prefixItems'])}]"
        return f"({_type(schema.get('items') or {})})[]"
    if kind == "object":
        values: Any = schema.get("additionalProperties")
        return f"Record<string, {_type(values) if values else 'unknown'}>"
    return _PLAIN.get(str(kind), "unknown")


def _key(name: str) -> str:
    return name if name.isidentifier() else json.dumps(name)


def _structs() -> Iterator[type[Struct]]:
    """Every Struct that any type of the API was made from."""
    waiting: list[type[Struct]] = [Struct]
    while waiting:
        kind = waiting.pop()
        yield kind
        waiting.extend(kind.__subclasses__())


def _answers() -> Iterator[type[Struct]]:
    """What the API sends and never takes: the views and the answers built around them."""
    for kind in _structs():
        if kind.__module__ in {"runfold_projections.model"} or kind.__name__.endswith(("Answer", "Out")):
            yield kind


if __name__ == "__main__":
    TYPES.write_text(render(), "utf-8")
