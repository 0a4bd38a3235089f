"""Every bound of a command: what is at the limit passes, one more is refused by field, limit and size.

The numbers are written out here: a bound that changes is a change of the contract.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw
from msgspec.structs import fields

from runfold_events.contract import commands as c
from runfold_events.contract import limits
from runfold_events.contract.errors import Invalid, LimitExceeded
from runfold_events.contract.statuses import Status
from runfold_events.contract.validation import check_command
from tests.support.strategies import structs

RUN: Final = "r"
DIGEST: Final = "0123456789abcdef" * 4
ADVANCES: Final = (
    "Starting",
    "Provisioning",
    "Preparing",
    "Queued",
    "Finalizing",
    "Pausing",
    "Paused",
    "Unapproved",
)


class Bound:
    """A limit, the field it is for, and how to make a command of some size."""

    def __init__(self, name: str, limit: int, field: str, make: Callable[[int], c.Command]) -> None:
        self.name = name
        self.limit = limit
        self.field = field  # what the error's field begins with
        self.make = make


def create(**content: Any) -> c.CreateRun:
    return c.CreateRun(run_id=RUN, experiment="e", **content)


def fail(**content: Any) -> c.FailRun:
    return c.FailRun(run_id=RUN, error=c.ErrorInfo(**content))


def artifact(**content: Any) -> c.RecordArtifact:
    known: dict[str, Any] = {"run_id": RUN, "path": "p", "sha256": DIGEST, "size_bytes": 1}
    return c.RecordArtifact(**(known | content))


def keys(count: int) -> dict[str, str | None]:
    return {f"k{number}": None for number in range(count)}


def text(size: int) -> str:
    """A text of so many characters that are more than one byte each."""
    return "é" * size


BOUNDS: Final = (
    Bound("RUN_ID_CHARS_MAX", 256, "run_id", lambda n: c.StartRun(run_id="r" * n)),
    Bound("RUN_ID_CHARS_MAX", 256, "parent_run_id", lambda n: create(parent_run_id="p" * n)),
    Bound(
        "EXPERIMENT_NAME_CHARS_MAX", 255, "experiment", lambda n: c.CreateRun(run_id=RUN, experiment="e" * n)
    ),
    Bound("EXPERIMENT_NAME_CHARS_MAX", 255, "experiment", lambda n: c.EnsureExperiment(experiment="e" * n)),
    Bound("EXPERIMENT_NAME_CHARS_MAX", 255, "experiment", lambda n: c.UpdateExperiment(experiment="e" * n)),
    Bound("RUN_NAME_CHARS_MAX", 1_024, "name", lambda n: create(name=text(n))),
    Bound("DISPLAY_NAME_CHARS_MAX", 512, "display_name", lambda n: create(display_name=text(n))),
    Bound(
        "DISPLAY_NAME_CHARS_MAX", 512, "display_name", lambda n: c.UpdateRun(run_id=RUN, display_name=text(n))
    ),
    Bound("DESCRIPTION_CHARS_MAX", 20_000, "description", lambda n: create(description=text(n))),
    Bound(
        "DESCRIPTION_CHARS_MAX", 20_000, "description", lambda n: c.UpdateRun(run_id=RUN, description=text(n))
    ),
    Bound(
        "DESCRIPTION_CHARS_MAX",
        20_000,
        "description",
        lambda n: c.EnsureExperiment(experiment="e", description=text(n)),
    ),
    Bound(
        "DESCRIPTION_CHARS_MAX",
        20_000,
        "description",
        lambda n: c.UpdateExperiment(experiment="e", description=text(n)),
    ),
    Bound("TARGET_CHARS_MAX", 256, "target", lambda n: create(target=text(n))),
    Bound("RUN_TYPE_CHARS_MAX", 256, "run_type", lambda n: create(run_type=text(n))),
    Bound("REASON_CHARS_MAX", 4_096, "reason", lambda n: c.RequestCancel(run_id=RUN, reason=text(n))),
    Bound("REASON_CHARS_MAX", 4_096, "reason", lambda n: c.CancelRun(run_id=RUN, reason=text(n))),
    Bound("REASON_CHARS_MAX", 4_096, "reason", lambda n: c.EraseRun(run_id=RUN, reason=text(n))),
    Bound(
        "REASON_CHARS_MAX",
        4_096,
        "reason",
        lambda n: c.DeclareLost(run_id=RUN, first=1, last=1, reason=text(n)),
    ),
    Bound(
        "REASON_CHARS_MAX",
        4_096,
        "details",
        lambda n: c.AdvanceRun(run_id=RUN, status=Status.QUEUED, details=text(n)),
    ),
    Bound("REASON_CHARS_MAX", 4_096, "error.details_uri", lambda n: fail(details_uri=text(n))),
    Bound("TAGS_PER_RUN_MAX", 1_000, "tags", lambda n: create(tags=keys(n))),
    Bound("TAGS_PER_RUN_MAX", 1_000, "tags", lambda n: c.SetTags(run_id=RUN, tags=keys(n))),
    Bound("TAGS_PER_RUN_MAX", 1_000, "tags", lambda n: c.EnsureExperiment(experiment="e", tags=keys(n))),
    Bound(
        "TAGS_PER_RUN_MAX", 1_000, "set_tags", lambda n: c.UpdateExperiment(experiment="e", set_tags=keys(n))
    ),
    Bound(
        "TAGS_PER_RUN_MAX",
        1_000,
        "remove_tags",
        lambda n: c.UpdateExperiment(experiment="e", remove_tags=tuple(keys(n))),
    ),
    Bound("TAGS_PER_RUN_MAX", 1_000, "keys", lambda n: c.RemoveTags(run_id=RUN, keys=tuple(keys(n)))),
    Bound("TAG_KEY_CHARS_MAX", 256, "tags", lambda n: create(tags={text(n): "v"})),
    Bound("TAG_KEY_CHARS_MAX", 256, "tags", lambda n: c.SetTags(run_id=RUN, tags={text(n): None})),
    Bound("TAG_KEY_CHARS_MAX", 256, "keys", lambda n: c.RemoveTags(run_id=RUN, keys=(text(n),))),
    Bound(
        "TAG_KEY_CHARS_MAX", 256, "tags", lambda n: c.EnsureExperiment(experiment="e", tags={text(n): None})
    ),
    Bound(
        "TAG_KEY_CHARS_MAX",
        256,
        "set_tags",
        lambda n: c.UpdateExperiment(experiment="e", set_tags={text(n): "1"}),
    ),
    Bound(
        "TAG_KEY_CHARS_MAX",
        256,
        "remove_tags",
        lambda n: c.UpdateExperiment(experiment="e", remove_tags=(text(n),)),
    ),
    Bound("TAG_VALUE_CHARS_MAX", 5_000, "tags.k", lambda n: create(tags={"k": text(n)})),
    Bound("TAG_VALUE_CHARS_MAX", 5_000, "tags.k", lambda n: c.SetTags(run_id=RUN, tags={"k": text(n)})),
    Bound("PROPERTIES_PER_RUN_MAX", 1_000, "properties", lambda n: create(properties=keys(n))),
    Bound(
        "PROPERTIES_PER_RUN_MAX",
        1_000,
        "properties",
        lambda n: c.AddProperties(run_id=RUN, properties=keys(n)),
    ),
    Bound(
        "PROPERTY_KEY_CHARS_MAX",
        256,
        "properties",
        lambda n: c.AddProperties(run_id=RUN, properties={text(n): "v"}),
    ),
    Bound("PROPERTY_KEY_CHARS_MAX", 256, "properties", lambda n: create(properties={text(n): "v"})),
    Bound(
        "PROPERTY_VALUE_CHARS_MAX",
        10_000,
        "properties.k",
        lambda n: c.AddProperties(run_id=RUN, properties={"k": text(n)}),
    ),
    Bound("PROPERTY_VALUE_CHARS_MAX", 10_000, "properties.k", lambda n: create(properties={"k": text(n)})),
    Bound(
        "PARAMS_PER_RUN_MAX",
        5_000,
        "params",
        lambda n: c.LogParams(run_id=RUN, params=dict.fromkeys(keys(n), 1)),
    ),
    Bound("PARAM_KEY_CHARS_MAX", 256, "params", lambda n: c.LogParams(run_id=RUN, params={text(n): 1})),
    Bound(
        "PARAM_VALUE_CHARS_MAX", 10_000, "params.k", lambda n: c.LogParams(run_id=RUN, params={"k": text(n)})
    ),
    Bound("ARTIFACT_PATH_CHARS_MAX", 1_024, "path", lambda n: artifact(path=text(n))),
    Bound("CONTENT_TYPE_CHARS_MAX", 256, "content_type", lambda n: artifact(content_type=text(n))),
    Bound("ERROR_CODE_CHARS_MAX", 256, "error.code", lambda n: fail(code=text(n))),
    Bound("ERROR_CODE_CHARS_MAX", 256, "error.error_type", lambda n: fail(error_type=text(n))),
    Bound("ERROR_MESSAGE_CHARS_MAX", 32_768, "error.message", lambda n: fail(message=text(n))),
    Bound("ERROR_TRACEBACK_CHARS_MAX", 65_536, "error.traceback", lambda n: fail(traceback=text(n))),
)


def refused(command: c.Command) -> Invalid:
    """The error that the command gives; it can be told to the sender."""
    with pytest.raises(Invalid) as caught:
        check_command(command)
    error = caught.value
    assert error.field is not None
    assert len(str(error)) < 1_000
    msgspec.json.encode([error.message, error.facts])
    return error


@pytest.mark.parametrize("bound", BOUNDS, ids=lambda bound: f"{bound.name}-{bound.field}")
def test_what_is_at_a_limit_passes_and_one_more_is_refused(bound: Bound) -> None:
    assert getattr(limits, bound.name) == bound.limit
    check_command(bound.make(bound.limit))
    error = refused(bound.make(bound.limit + 1))
    assert isinstance(error, LimitExceeded)
    assert (error.code, error.limit, error.size) == ("limit_exceeded", bound.limit, bound.limit + 1)
    assert str(error.field).startswith(bound.field)


def test_every_text_of_a_command_has_a_bound() -> None:
    """A new text field, tag or key without a bound fails here."""
    unbounded = {(c.AdvanceRun, "status"), (c.RecordArtifact, "sha256"), (c.LogMetrics, "batch")}
    for kind in get_args(c.Command):
        for field in fields(kind):
            if field.name in ("run_id", "experiment", "parent_run_id") or (kind, field.name) in unbounded:
                continue
            if "str" in str(field.type) or "ErrorInfo" in str(field.type):
                assert any(type(bound.make(1)) is kind and _names(bound, field.name) for bound in BOUNDS), (
                    kind,
                    field.name,
                )


def _names(bound: Bound, field: str) -> bool:
    return bound.field.split(".")[0] == field


# ── characters ────────────────────────────────────────────────────────────────────────────────────────────

BAD_TEXTS: Final = ("a\0b", "\0", "a\ud800b", "\udfff")
TEXT_FIELDS: Final[dict[str, Callable[[str], c.Command]]] = {
    "run_id": lambda t: c.StartRun(run_id=t),
    "experiment": lambda t: c.EnsureExperiment(experiment=t),
    "parent_run_id": lambda t: create(parent_run_id=t),
    "name": lambda t: create(name=t),
    "display_name": lambda t: create(display_name=t),
    "description": lambda t: create(description=t),
    "target": lambda t: create(target=t),
    "run_type": lambda t: create(run_type=t),
    "tags key": lambda t: create(tags={t: None}),
    "tags value": lambda t: create(tags={"k": t}),
    "properties key": lambda t: c.AddProperties(run_id=RUN, properties={t: None}),
    "properties value": lambda t: c.AddProperties(run_id=RUN, properties={"k": t}),
    "params key": lambda t: c.LogParams(run_id=RUN, params={t: 1}),
    "params value": lambda t: c.LogParams(run_id=RUN, params={"k": t}),
    "set_tags key": lambda t: c.SetTags(run_id=RUN, tags={t: "v"}),
    "set_tags value": lambda t: c.SetTags(run_id=RUN, tags={"k": t}),
    "keys": lambda t: c.RemoveTags(run_id=RUN, keys=(t,)),
    "update display_name": lambda t: c.UpdateRun(run_id=RUN, display_name=t),
    "update description": lambda t: c.UpdateRun(run_id=RUN, description=t),
    "experiment description": lambda t: c.EnsureExperiment(experiment="e", description=t),
    "experiment tags": lambda t: c.EnsureExperiment(experiment="e", tags={"k": t}),
    "update experiment tags": lambda t: c.UpdateExperiment(experiment="e", set_tags={t: None}),
    "update experiment keys": lambda t: c.UpdateExperiment(experiment="e", remove_tags=(t,)),
    "update experiment description": lambda t: c.UpdateExperiment(experiment="e", description=t),
    "request reason": lambda t: c.RequestCancel(run_id=RUN, reason=t),
    "cancel reason": lambda t: c.CancelRun(run_id=RUN, reason=t),
    "erase reason": lambda t: c.EraseRun(run_id=RUN, reason=t),
    "lost reason": lambda t: c.DeclareLost(run_id=RUN, first=1, last=1, reason=t),
    "details": lambda t: c.AdvanceRun(run_id=RUN, status=Status.QUEUED, details=t),
    "error message": lambda t: fail(message=t),
    "error code": lambda t: fail(code=t),
    "error type": lambda t: fail(error_type=t),
    "error uri": lambda t: fail(details_uri=t),
    "error traceback": lambda t: fail(traceback=t),
    "path": lambda t: artifact(path=t),
    "content_type": lambda t: artifact(content_type=t),
    "sha256": lambda t: artifact(sha256=t),
}


@pytest.mark.parametrize("bad", BAD_TEXTS, ids=ascii)
@pytest.mark.parametrize("field", TEXT_FIELDS)
def test_nul_and_lone_surrogates_are_refused_everywhere(field: str, bad: str) -> None:
    refused(TEXT_FIELDS[field](bad))


@pytest.mark.parametrize(
    "good", ["\U0001f600", "a\u0301", "\n\t\r", "\x01\x7f", "\u202e", "\ufeff", "''\"--;"]
)
def test_every_other_character_is_data(good: str) -> None:
    for field, make in TEXT_FIELDS.items():
        if field not in ("run_id", "experiment", "parent_run_id", "sha256", "path"):
            check_command(make(good))


@pytest.mark.parametrize(
    "field", ["tags key", "properties key", "params key", "set_tags key", "keys", "path"]
)
def test_keys_and_paths_are_not_empty(field: str) -> None:
    refused(TEXT_FIELDS[field](""))


# ── values ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("value", [-(2**63), 2**63 - 1, 0, True, 1e308, -0.0, 5e-324, None, "NaN"])
def test_parameters_that_every_store_can_hold(value: Any) -> None:
    check_command(c.LogParams(run_id=RUN, params={"k": value}))


@pytest.mark.parametrize(
    "value",
    [2**63, -(2**63) - 1, 10**400, float("nan"), float("inf"), float("-inf")],
    ids=lambda v: str(v)[:20],
)
def test_parameters_that_not_every_store_can_hold(value: Any) -> None:
    assert refused(c.LogParams(run_id=RUN, params={"k": value})).field == "params.k"


@pytest.mark.parametrize("status", sorted(Status))
def test_only_stations_can_be_advanced_to(status: Status) -> None:
    command = c.AdvanceRun(run_id=RUN, status=status)
    if status in ADVANCES:
        check_command(command)
    else:
        assert refused(command).field == "status"


def test_a_run_is_not_its_own_parent() -> None:
    assert refused(create(parent_run_id=RUN)).field == "parent_run_id"


@pytest.mark.parametrize(
    "path", ["/a", "a//b", "a/", "./a", "a/./b", "..", "a/../b", "a\\b", ".", "/", "C:\\a"]
)
def test_paths_stay_inside_the_run(path: str) -> None:
    assert refused(artifact(path=path)).field == "path"


@pytest.mark.parametrize("path", ["a", "a/b.c", "...", "a..b/c", "-", "é/ü", " "])
def test_ordinary_paths(path: str) -> None:
    check_command(artifact(path=path))


@pytest.mark.parametrize(
    "sha256", ["", DIGEST[:-1], DIGEST + "0", DIGEST.upper(), "g" * 64, DIGEST[:-1] + "\n"]
)
def test_a_digest_is_64_lower_hex_digits(sha256: str) -> None:
    assert refused(artifact(sha256=sha256)).field == "sha256"


@pytest.mark.parametrize("size", [-1, 2**63, 10**40])
def test_a_size_is_a_non_negative_64_bit_number(size: int) -> None:
    assert refused(artifact(size_bytes=size)).field == "size_bytes"
    check_command(artifact(size_bytes=0))
    check_command(artifact(size_bytes=2**63 - 1))


@pytest.mark.parametrize(("first", "last"), [(0, 1), (-1, 5), (5, 4), (1, 2**63), (2**63, 2**63)])
def test_lost_commands_are_a_range_of_writer_numbers(first: int, last: int) -> None:
    refused(c.DeclareLost(run_id=RUN, first=first, last=last, reason="r"))


def test_the_widest_range_of_writer_numbers_is_legal() -> None:
    check_command(c.DeclareLost(run_id=RUN, first=1, last=2**63 - 1, reason="", values=2**63 - 1))


@pytest.mark.parametrize("values", [-1, 2**63])
def test_a_count_of_lost_values_is_a_non_negative_64_bit_number(values: int) -> None:
    assert refused(c.DeclareLost(run_id=RUN, first=1, last=1, reason="r", values=values)).field == "values"


@pytest.mark.parametrize("kind", get_args(c.Command), ids=lambda kind: kind.__name__)
def test_any_command_is_legal_or_refused(kind: type[Any]) -> None:
    @settings(max_examples=15)
    @given(structs(kind, st.just(Raw(b"{}"))))
    def check(command: Any) -> None:
        try:
            check_command(command)
        except Invalid as error:
            msgspec.json.encode([error.message, error.facts])

    check()
