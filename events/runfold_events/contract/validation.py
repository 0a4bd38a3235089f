"""Checks that need nothing but the command itself: lengths, counts, characters. All raise ``Invalid`` errors."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec import UNSET

from runfold_events.contract import commands as c
from runfold_events.contract import limits
from runfold_events.contract.errors import Invalid, LimitExceeded
from runfold_events.contract.ids import check_experiment_name, check_run_id
from runfold_events.contract.statuses import ADVANCE_TARGETS

_SHA256_HEX: Final = re.compile(r"[0-9a-f]{64}\Z")


def check_command(command: c.Command) -> None:
    """Raise :class:`Invalid` or :class:`LimitExceeded`, naming field, limit and size, unless ``command`` is legal."""
    if isinstance(command, c.ExperimentCommand):
        check_experiment_name(command.experiment)
    else:
        check_run_id(command.run_id)
    check = _CHECKS.get(type(command))
    if check is not None:
        check(command)


def check_text(value: str | None, field: str, chars_max: int, chars_min: int = 0) -> None:
    """Length within bounds, no NUL, no lone surrogate: what every store and every consumer can hold."""
    if value is None:
        return
    if not chars_min <= len(value) <= chars_max:
        raise LimitExceeded(
            f"A field is over the size limit. FieldName={field}, Limit={chars_max}, Size={len(value)}",
            facts={"field": field, "limit": chars_max, "size": len(value)},
        )
    if "\x00" in value:
        raise Invalid(f"{field} holds a NUL character", facts={"field": field, "limit": "no NUL"})
    if not value.isascii() and not _is_utf8(value):
        raise Invalid(
            f"{field} holds a lone surrogate, which is no character", facts={"field": field, "limit": "UTF-8"}
        )


def _is_utf8(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_count(size: int, field: str, limit: int) -> None:
    if size > limit:
        raise LimitExceeded(
            f"A field is over the size limit. FieldName={field}, Limit={limit}, Size={size}",
            facts={"field": field, "limit": limit, "size": size},
        )


def check_tags(tags: Mapping[str, str | None], field: str) -> None:
    """Keys and values of tags."""
    _check_count(len(tags), field, limits.TAGS_PER_RUN_MAX)
    for key, value in tags.items():
        check_text(key, f"{field} key {key[:80]!r}", limits.TAG_KEY_CHARS_MAX, 1)
        check_text(value, f"{field}.{key[:80]}", limits.TAG_VALUE_CHARS_MAX)


def check_properties(properties: Mapping[str, str | None], field: str) -> None:
    """Keys and values of properties."""
    _check_count(len(properties), field, limits.PROPERTIES_PER_RUN_MAX)
    for key, value in properties.items():
        check_text(key, f"{field} key {key[:80]!r}", limits.PROPERTY_KEY_CHARS_MAX, 1)
        check_text(value, f"{field}.{key[:80]}", limits.PROPERTY_VALUE_CHARS_MAX)


def _check_params(command: c.LogParams) -> None:
    _check_count(len(command.params), "params", limits.PARAMS_PER_RUN_MAX)
    for key, value in command.params.items():
        field = f"params.{key[:80]}"
        check_text(key, f"params key {key[:80]!r}", limits.PARAM_KEY_CHARS_MAX, 1)
        if isinstance(value, str):
            check_text(value, field, limits.PARAM_VALUE_CHARS_MAX)
        elif isinstance(value, float) and not math.isfinite(value):
            raise Invalid(
                f"{field} must be finite; send {value} as a string",
                facts={"field": field, "limit": "finite", "size": str(value)},
            )
        elif isinstance(value, int) and not limits.INT64_MIN <= value <= limits.INT64_MAX:
            raise LimitExceeded(
                f"{field} must fit 64 bits; send larger numbers as strings",
                facts={"field": field, "limit": limits.INT64_MAX, "size": str(value)[:80]},
            )


def _check_create(command: c.CreateRun) -> None:
    check_experiment_name(command.experiment)
    if command.parent_run_id is not None:
        check_run_id(command.parent_run_id, "parent_run_id")
        if command.parent_run_id == command.run_id:
            raise Invalid(
                "a run cannot be its own parent", facts={"field": "parent_run_id", "size": command.run_id}
            )
    check_text(command.name, "name", limits.RUN_NAME_CHARS_MAX)
    check_text(command.display_name, "display_name", limits.DISPLAY_NAME_CHARS_MAX)
    check_text(command.description, "description", limits.DESCRIPTION_CHARS_MAX)
    check_text(command.target, "target", limits.TARGET_CHARS_MAX)
    check_text(command.run_type, "run_type", limits.RUN_TYPE_CHARS_MAX)
    check_tags(command.tags, "tags")
    check_properties(command.properties, "properties")


def _check_ensure(command: c.EnsureExperiment) -> None:
    check_text(command.description, "description", limits.DESCRIPTION_CHARS_MAX)
    check_tags(command.tags, "tags")


def _check_update_experiment(command: c.UpdateExperiment) -> None:
    check_tags(command.set_tags, "set_tags")
    _check_keys(command.remove_tags, "remove_tags")
    if command.description is not UNSET:
        check_text(command.description, "description", limits.DESCRIPTION_CHARS_MAX)


def _check_keys(keys: tuple[str, ...], field: str) -> None:
    _check_count(len(keys), field, limits.TAGS_PER_RUN_MAX)
    for key in keys:
        check_text(key, field, limits.TAG_KEY_CHARS_MAX, 1)


def _check_update_run(command: c.UpdateRun) -> None:
    if command.display_name is not UNSET:
        check_text(command.display_name, "display_name", limits.DISPLAY_NAME_CHARS_MAX)
    if command.description is not UNSET:
        check_text(command.description, "description", limits.DESCRIPTION_CHARS_MAX)


def _check_fail(command: c.FailRun) -> None:
    error = command.error
    check_text(error.message, "error.message", limits.ERROR_MESSAGE_CHARS_MAX)
    check_text(error.code, "error.code", limits.ERROR_CODE_CHARS_MAX, 1)
    check_text(error.error_type, "error.error_type", limits.ERROR_CODE_CHARS_MAX)
    check_text(error.details_uri, "error.details_uri", limits.REASON_CHARS_MAX)
    check_text(error.traceback, "error.traceback", limits.ERROR_TRACEBACK_CHARS_MAX)


def _check_advance(command: c.AdvanceRun) -> None:
    if command.status not in ADVANCE_TARGETS:
        allowed = sorted(ADVANCE_TARGETS)
        raise Invalid(
            f"status must be one of {', '.join(allowed)}; got {command.status}",
            facts={"field": "status", "limit": allowed, "size": str(command.status)},
        )
    check_text(command.details, "details", limits.REASON_CHARS_MAX)


def _check_reason(command: c.RequestCancel | c.CancelRun | c.EraseRun) -> None:
    check_text(command.reason, "reason", limits.REASON_CHARS_MAX)


def check_artifact_path(path: str, field: str = "path") -> str:
    """Return ``path`` if a file of a run may have it: relative, ``/`` between names, none of them ``.`` or ``..``."""
    check_text(path, field, limits.ARTIFACT_PATH_CHARS_MAX, 1)
    parts = path.split("/")
    if "" in parts or "." in parts or ".." in parts or "\\" in path:
        raise Invalid(
            f"{field} must be relative, with / between non-empty names and no . or ..; got {path[:80]!r}",
            facts={"field": field, "limit": "a/b/c", "size": path[:80]},
        )
    return path


def _check_artifact(command: c.RecordArtifact) -> None:
    check_artifact_path(command.path)
    check_text(command.content_type, "content_type", limits.CONTENT_TYPE_CHARS_MAX)
    if not _SHA256_HEX.match(command.sha256):
        raise Invalid(
            "sha256 must be 64 hex digits",
            facts={"field": "sha256", "limit": 64, "size": len(command.sha256)},
        )
    if not 0 <= command.size_bytes <= limits.INT64_MAX:
        raise Invalid(
            "size_bytes must be 0 or more",
            facts={"field": "size_bytes", "limit": 0, "size": command.size_bytes},
        )


def _check_declare(command: c.DeclareLost) -> None:
    check_text(command.reason, "reason", limits.REASON_CHARS_MAX)
    if not 1 <= command.first <= command.last <= limits.WRITER_SEQ_MAX:
        raise Invalid(
            f"first to last must be a range of writer numbers from 1; got {command.first} to {command.last}",
            facts={"field": "last", "limit": limits.WRITER_SEQ_MAX, "size": command.last},
        )
    if not 0 <= command.values <= limits.INT64_MAX:
        raise Invalid(
            "values must be 0 or more", facts={"field": "values", "limit": 0, "size": command.values}
        )


_CHECKS: Final[dict[type, Callable[[Any], None]]] = {
    c.EnsureExperiment: _check_ensure,
    c.UpdateExperiment: _check_update_experiment,
    c.CreateRun: _check_create,
    c.AdvanceRun: _check_advance,
    c.RequestCancel: _check_reason,
    c.FailRun: _check_fail,
    c.CancelRun: _check_reason,
    c.LogParams: _check_params,
    c.AddProperties: lambda command: check_properties(command.properties, "properties"),
    c.SetTags: lambda command: check_tags(command.tags, "tags"),
    c.RemoveTags: lambda command: _check_keys(command.keys, "keys"),
    c.UpdateRun: _check_update_run,
    c.RecordArtifact: _check_artifact,
    c.DeclareLost: _check_declare,
    c.EraseRun: _check_reason,
}
