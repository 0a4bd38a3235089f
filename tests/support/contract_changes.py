"""What a change of the contract's schemas would break for teams that were built on the released ones.

What runfold takes must stay welcome; what it gives must stay understood, and so must everything it ever gave, since
events are published again. A new field with a default, a new type and a new value of an enumeration break nothing: the
policy in docs/integration.md asks consumers to bear those.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

Schema = dict[str, Any]


def broken(released: Schema, now: Schema) -> list[str]:
    """Everything of ``released`` that ``now`` breaks; both as ``write_goldens.schemas`` writes them."""
    found: list[str] = []
    for kind, is_taken in (("commands", True), ("events", False)):
        for name, old in released[kind].items():
            if name not in now[kind]:
                found.append(f"{kind}: {name} is gone")
                continue
            new = now[kind][name]
            if _title(old) != _title(new):
                found.append(f"{kind}: {name} was {_title(old)} and is {_title(new)}: a name is used again")
            found += _Comparison(old, new, is_taken=is_taken).faults(f"{kind}: {name}")
    return found + _Comparison(released["reply"], now["reply"], is_taken=False).faults("reply")


def _title(schema: Schema) -> str:
    return str(schema.get("$ref", "")).rpartition("/")[2]


class _Comparison:
    """Two documents of one type, each with its own definitions."""

    def __init__(self, old: Schema, new: Schema, *, is_taken: bool) -> None:
        self._old, self._new, self._is_taken = old, new, is_taken
        self._entered: set[str] = set()

    def faults(self, at: str) -> list[str]:
        return list(self._compare(self._old, self._new, at))

    def _compare(self, old: Schema, new: Schema, at: str) -> Iterator[str]:
        reference = str(old.get("$ref", ""))
        if reference:
            if reference in self._entered:
                return
            self._entered.add(reference)
        before, after = _options(old, self._old), _options(new, self._new)
        gone = before.keys() - after.keys()
        if "any" not in after and gone:
            yield f"{at}: may no longer be {', '.join(sorted(gone))}"
        more = after.keys() - before.keys()
        if not self._is_taken and "any" not in before and more:
            yield f"{at}: may now be {', '.join(sorted(more))}"
        for kind in before.keys() & after.keys():
            for one, other in zip(before[kind], after[kind], strict=False):
                yield from self._compare_option(kind, one, other, at)
            if len(after[kind]) < len(before[kind]):
                yield f"{at}: an option is gone"

    def _compare_option(self, kind: str, old: Schema, new: Schema, at: str) -> Iterator[str]:
        values: list[Any] = old.get("enum", [])
        gone = set(values) - set(new.get("enum", values))
        if gone:
            yield f"{at}: {sorted(gone)} is gone"
        if kind == "object":
            yield from self._compare_fields(old, new, at)
        elif kind == "array":
            for place, (one, other) in enumerate(zip(_items(old), _items(new), strict=False)):
                yield from self._compare(one, other, f"{at}[{place}]")

    def _compare_fields(self, old: Schema, new: Schema, at: str) -> Iterator[str]:
        before, after = old.get("properties", {}), new.get("properties", {})
        was, now = set(old.get("required", ())), set(new.get("required", ()))
        for name in sorted(before.keys() - after.keys()):
            yield f"{at}.{name} is gone"
        for name in sorted(now - was):
            yield f"{at}.{name} is required now"
        for name in sorted((was - now) & after.keys()):
            if not self._is_taken:
                yield f"{at}.{name} may be absent now"
        for name in sorted(before.keys() & after.keys()):
            if before[name].get("default") != after[name].get("default"):
                yield f"{at}.{name} has another default"
            yield from self._compare(before[name], after[name], f"{at}.{name}")
        if isinstance(old.get("additionalProperties"), dict):
            more = new.get("additionalProperties", {})
            yield from self._compare(old["additionalProperties"], more or {"enum": []}, f"{at}.*")
        elif new.get("additionalProperties") is False and "additionalProperties" not in old:
            yield f"{at}: unknown fields are refused now"


def _options(schema: Schema, document: Schema) -> dict[str, list[Schema]]:
    """What a value may be: by JSON type (``enum``, or ``any`` where nothing is said), with its schemas."""
    if "$ref" in schema:
        return _options(document["$defs"][_title(schema)], document)
    found: dict[str, list[Schema]] = {}
    if "anyOf" in schema:
        for option in cast("list[Schema]", schema["anyOf"]):
            for kind, schemas in _options(option, document).items():
                found.setdefault(kind, []).extend(schemas)
        return found
    kind = str(schema.get("type", "enum" if "enum" in schema else "any"))
    return {kind: [schema]}


def _items(schema: Schema) -> list[Schema]:
    if "prefixItems" in schema:
        return cast("list[Schema]", schema["prefixItems"])
    return [schema.get("items") or {}]
