"""The decision state of a run, and what an event makes of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final
from uuid import UUID

from msgspec import UNSET, Struct
from msgspec.structs import replace

from runfold_events.contract import events as e
from runfold_events.contract.commands import ParamValue, Tags
from runfold_events.contract.statuses import Status


class Written(Struct, frozen=True, gc=False):
    """A write-once value and the event that wrote it."""

    value: ParamValue
    event: UUID


class Artifact(Struct, frozen=True):
    """A recorded file."""

    sha256: str
    size_bytes: int


class RunState(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What decisions about a run depend on. Metrics do not, so logging never conflicts with anything."""

    created: e.RunCreated
    created_event: UUID
    status: Status = Status.NOT_STARTED
    status_before_lost: Status | None = None
    ended_event: UUID | None = None
    properties: dict[str, Written] = {}
    params: dict[str, Written] = {}
    tags: Tags = {}
    display_name: str | None = None
    description: str | None = None
    archived: bool = False
    artifacts: dict[str, Artifact] = {}
    erased: bool = False


def evolve(state: RunState | None, event: e.AnyEvent, event_id: UUID) -> RunState:
    """The state after ``event``. Total on every history that :func:`~runfold_events.rules.run.decide` can make."""
    if isinstance(event, e.RunCreated):
        return _created(event, event_id)
    if state is None:
        raise ValueError(f"{e.event_type(event)} before run.created")
    change = _CHANGES.get(type(event))
    return state if change is None else change(state, event, event_id)


def _created(event: e.RunCreated, event_id: UUID) -> RunState:
    return RunState(
        created=event,
        created_event=event_id,
        tags=event.tags,
        properties={key: Written(value, event_id) for key, value in event.properties.items()},
        display_name=event.display_name,
        description=event.description,
    )


def _started(state: RunState, event: e.RunStarted, event_id: UUID) -> RunState:
    return replace(state, status=Status.RUNNING, status_before_lost=None)


def _advanced(state: RunState, event: e.RunAdvanced, event_id: UUID) -> RunState:
    return replace(state, status=event.status, status_before_lost=None)


def _cancel_requested(state: RunState, event: e.RunCancelRequested, event_id: UUID) -> RunState:
    return replace(state, status=Status.CANCEL_REQUESTED, status_before_lost=None)


def _completed(state: RunState, event: e.RunCompleted, event_id: UUID) -> RunState:
    return _end(state, Status.COMPLETED, event_id)


def _failed(state: RunState, event: e.RunFailed, event_id: UUID) -> RunState:
    return _end(state, Status.FAILED, event_id)


def _canceled(state: RunState, event: e.RunCanceled, event_id: UUID) -> RunState:
    return _end(state, Status.CANCELED, event_id)


def _end(state: RunState, status: Status, event_id: UUID) -> RunState:
    return replace(state, status=status, status_before_lost=None, ended_event=event_id)


def _lost(state: RunState, event: e.RunLost, event_id: UUID) -> RunState:
    return replace(state, status=Status.NOT_RESPONDING, status_before_lost=state.status)


def _found(state: RunState, event: e.RunFound, event_id: UUID) -> RunState:
    return replace(state, status=event.status, status_before_lost=None)


def _params_logged(state: RunState, event: e.ParamsLogged, event_id: UUID) -> RunState:
    new = {key: Written(value, event_id) for key, value in event.params.items()}
    return replace(state, params=state.params | new)


def _properties_added(state: RunState, event: e.PropertiesAdded, event_id: UUID) -> RunState:
    new = {key: Written(value, event_id) for key, value in event.properties.items()}
    return replace(state, properties=state.properties | new)


def _tags_set(state: RunState, event: e.TagsSet, event_id: UUID) -> RunState:
    return replace(state, tags=state.tags | event.tags)


def _tags_removed(state: RunState, event: e.TagsRemoved, event_id: UUID) -> RunState:
    gone = set(event.keys)
    return replace(state, tags={key: value for key, value in state.tags.items() if key not in gone})


def _updated(state: RunState, event: e.RunUpdated, event_id: UUID) -> RunState:
    name = state.display_name if event.display_name is UNSET else event.display_name
    text = state.description if event.description is UNSET else event.description
    return replace(state, display_name=name, description=text)


def _archived(state: RunState, event: e.RunArchived, event_id: UUID) -> RunState:
    return replace(state, archived=True)


def _restored(state: RunState, event: e.RunRestored, event_id: UUID) -> RunState:
    return replace(state, archived=False)


def _artifact_recorded(state: RunState, event: e.ArtifactRecorded, event_id: UUID) -> RunState:
    return replace(state, artifacts=state.artifacts | {event.path: Artifact(event.sha256, event.size_bytes)})


def _erased(state: RunState, event: e.RunErased, event_id: UUID) -> RunState:
    return erased_stub(event, state.created_event, event_id)


def erased_stub(event: e.RunErased, created_event: UUID, event_id: UUID) -> RunState:
    """What is left of a run after its erasure: its place, its number and how it stood."""
    stub = e.RunCreated(
        run_id=event.run_id,
        experiment=event.experiment,
        experiment_id=event.experiment_id,
        number=event.number,
        root_run_id=event.root_run_id,
        path=event.path,
        parent_run_id=event.parent_run_id,
    )
    return RunState(
        created=stub, created_event=created_event, status=event.status, ended_event=event_id, erased=True
    )


_CHANGES: Final[dict[type, Callable[[RunState, Any, UUID], RunState]]] = {
    e.RunStarted: _started,
    e.RunAdvanced: _advanced,
    e.RunCancelRequested: _cancel_requested,
    e.RunCompleted: _completed,
    e.RunFailed: _failed,
    e.RunCanceled: _canceled,
    e.RunLost: _lost,
    e.RunFound: _found,
    e.ParamsLogged: _params_logged,
    e.PropertiesAdded: _properties_added,
    e.TagsSet: _tags_set,
    e.TagsRemoved: _tags_removed,
    e.RunUpdated: _updated,
    e.RunArchived: _archived,
    e.RunRestored: _restored,
    e.ArtifactRecorded: _artifact_recorded,
    e.RunErased: _erased,
}
