"""Events in words, for people who read an audit trail."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec import UNSET

from runfold_events.contract import events as e

_VALUE_CHARS_MAX: Final = 200


def words_for(actor: str, source: str, event_type: str, body: e.AnyEvent | None) -> str:
    """One sentence: who did, or was refused, what; with the values."""
    say = WORDS.get(type(body))
    what = f"recorded {event_type}" if say is None else say(body)
    who = actor if actor == source else f"{actor} ({source})"
    return f"{who} {what}"


def is_late(body: e.AnyEvent | None) -> bool:
    """True for what came after the run's end."""
    return bool(getattr(body, "late", False))


def shown(value: Any) -> str:
    """A value as a reader should see it, cut when it is long."""
    text = "null" if value is None else repr(value)
    return text if len(text) <= _VALUE_CHARS_MAX else f"{text[:_VALUE_CHARS_MAX]}… ({len(text)} characters)"


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} = {shown(value)}" for key, value in values.items())


def _because(reason: str | None) -> str:
    return "" if reason is None else f": {shown(reason)}"


def _late(late: bool) -> str:
    return " (after the run's end)" if late else ""


def _created(body: e.RunCreated) -> str:
    below = "" if body.parent_run_id is None else f" below {body.parent_run_id}"
    data = [f"{what} {_pairs(values)}" for what, values in _initial(body) if values]
    return f"created run {body.number} of {body.experiment}{below}" + "".join(f", {text}" for text in data)


def _initial(body: e.RunCreated) -> list[tuple[str, Mapping[str, Any]]]:
    return [("tags", body.tags), ("properties", body.properties)]


def _advanced(body: e.RunAdvanced) -> str:
    return f"moved the run to {body.status}" + ("" if body.details is None else f": {shown(body.details)}")


def _failed(body: e.RunFailed) -> str:
    error = body.error
    kind = error.error_type or error.code
    return f"failed the run: {kind}" + ("" if error.message is None else f": {shown(error.message)}")


def _params(body: e.ParamsLogged) -> str:
    return f"logged params {_pairs(body.params)}{_late(body.late)}"


def _properties(body: e.PropertiesAdded) -> str:
    return f"added properties {_pairs(body.properties)}{_late(body.late)}"


def _tags_set(body: e.TagsSet) -> str:
    return f"set tags {_pairs(body.tags)}{_late(body.late)}"


def _tags_removed(body: e.TagsRemoved) -> str:
    return f"removed tags {', '.join(body.keys)}{_late(body.late)}"


def _updated(body: e.RunUpdated) -> str:
    changes = {"display name": body.display_name, "description": body.description}
    return f"changed {_pairs({name: value for name, value in changes.items() if value is not UNSET})}"


def _artifact(body: e.ArtifactRecorded) -> str:
    return f"recorded artifact {body.path} ({body.size_bytes} bytes, sha256 {body.sha256[:12]}…){_late(body.late)}"


def _lost_commands(body: e.CommandsLost) -> str:
    which = f"command {body.first}" if body.first == body.last else f"commands {body.first} to {body.last}"
    values = f" with {body.values} values" if body.values else ""
    return f"declared {which}{values} lost: {shown(body.reason)}"


_WRITE_ONCE: Final = {"property_immutable": "property", "parameter_immutable": "parameter"}


def _rejected(body: e.CommandRejected) -> str:
    facts = body.facts
    what = _WRITE_ONCE.get(body.code)
    if what is not None and {"key", "current", "attempted", "event"} <= facts.keys():
        others = len(facts.get("keys", ())) - 1
        more = f" (and {others} more of the same command)" if others > 0 else ""
        return (
            f"was refused: {what} {facts['key']} is {shown(facts['current'])} since event {facts['event']}, "
            f"attempted {shown(facts['attempted'])}{more}"
        )
    return f"was refused {body.command}: {body.message}"


def _experiment_updated(body: e.ExperimentUpdated) -> str:
    parts: list[str] = []
    if body.set_tags:
        parts.append(f"set tags {_pairs(body.set_tags)}")
    if body.removed_tags:
        parts.append(f"removed tags {', '.join(body.removed_tags)}")
    if body.description is not UNSET:
        parts.append(f"changed description = {shown(body.description)}")
    if body.archived is not UNSET:
        parts.append("archived the experiment" if body.archived else "reactivated the experiment")
    return " and ".join(parts) or "changed nothing"


def _erased(body: e.RunErased) -> str:
    return f"erased the run, which was {body.status}{_because(body.reason)}"


def _unreadable(body: e.CommandUnreadable) -> str:
    return f"kept an unreadable command of the topic, offset {body.offset}: {body.message}"


def _redriven(body: e.CommandRedriven) -> str:
    return f"{'handled' if body.handled else 'could not handle'} a command sent again, offset {body.offset}"


def _log_lost(body: e.LogLost) -> str:
    return f"found offsets {body.first} to {body.last} of the topic lost: {shown(body.reason)}"


WORDS: Final[dict[Any, Callable[[Any], str]]] = {
    e.ExperimentCreated: lambda body: f"created experiment {body.experiment}",
    e.ExperimentUpdated: _experiment_updated,
    e.RunCreated: _created,
    e.RunStarted: lambda body: "started the run",
    e.RunAdvanced: _advanced,
    e.RunCancelRequested: lambda body: f"asked to cancel the run{_because(body.reason)}",
    e.RunCompleted: lambda body: "completed the run",
    e.RunFailed: _failed,
    e.RunCanceled: lambda body: f"canceled the run{_because(body.reason)}",
    e.RunLost: lambda body: "found that the run's last holder is gone",
    e.RunFound: lambda body: f"found the run alive again: {body.status}",
    e.ParamsLogged: _params,
    e.PropertiesAdded: _properties,
    e.TagsSet: _tags_set,
    e.TagsRemoved: _tags_removed,
    e.RunUpdated: _updated,
    e.RunArchived: lambda body: "archived the run",
    e.RunRestored: lambda body: "restored the run from the archive",
    e.ArtifactRecorded: _artifact,
    e.CommandsLost: _lost_commands,
    e.CommandRejected: _rejected,
    e.RunErased: _erased,
    e.CommandUnreadable: _unreadable,
    e.LogLost: _log_lost,
    e.ImportStarted: lambda body: f"began to import a ledger of epoch {body.source_epoch}",
    e.ImportEnded: lambda body: f"imported {body.events} events",
    e.StoreRestored: lambda body: f"restored the store, which was epoch {body.previous_epoch}",
    e.CommandRedriven: _redriven,
}
