"""The rules of a run: what a command gives in a state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final
from uuid import UUID

from msgspec import UNSET
from msgspec.structs import replace

from runfold_events.contract import commands as c
from runfold_events.contract import events as e
from runfold_events.contract import limits
from runfold_events.contract.commands import ParamValue
from runfold_events.contract.statuses import TERMINAL, Status
from runfold_events.rules.decision import NOTHING, Context, Decision, Rejection
from runfold_events.rules.run_state import Artifact, RunState, Written
from runfold_events.rules.table import ALLOWED, Verdict

HELD_BY_OTHER: Final = "another process holds the run"  # the reason in a refusal's facts
_TAKE: Final = Verdict.TAKE  # naming a member by its class costs as much as a rule


def decide(state: RunState | None, command: c.RunCommand, context: Context) -> Decision:
    """The events that ``command`` gives (none: nothing changes), or why it is refused."""
    decision = _decide(state, command, context)
    if isinstance(decision, Rejection) and isinstance(command, c.AdvanceRun) and command.claim:
        # Of several agents all but one are refused, and none of them did anything that an audit should show.
        return replace(decision, recorded=False)
    return decision


def takes_metrics(state: RunState | None) -> bool:
    """True when :func:`decide` answers every batch of metrics with the event that carries it, whoever sends it."""
    return state is not None and not state.erased and ALLOWED[c.LogMetrics][state.status] is _TAKE


def _decide(state: RunState | None, command: c.RunCommand, context: Context) -> Decision:
    if state is not None and state.erased:
        return NOTHING if isinstance(command, c.EraseRun) else _erased(state)
    if isinstance(command, c.CreateRun):
        return _create(command, context) if state is None else _create_again(state, command, context)
    if state is None:
        return Rejection(
            code="not_found",
            message=f"there is no run {command.run_id!r}",
            facts={"run_id": command.run_id},
            recorded=False,
        )
    comes_late = c.takes_over(command) or (c.yields(command) and not context.writer_holds)
    if comes_late and context.held_by_other and state.status not in TERMINAL:
        return _conflict(state, command, HELD_BY_OTHER)
    verdict = ALLOWED[type(command)][state.status]
    if verdict is _TAKE:
        return _RULES[type(command)](state, command, context)
    if verdict is Verdict.SAME:
        return NOTHING
    if verdict is Verdict.ENDED:
        return _ended(state, command)
    return _conflict(state, command, f"the run is {state.status}")


# Creation


def _create(command: c.CreateRun, context: Context) -> Decision:
    if context.experiment_id is None:
        return _unknown("experiment", command.experiment)
    path: tuple[str, ...] = (command.run_id,)
    if command.parent_run_id is not None:
        if context.parent is None:
            return _unknown("parent_run_id", command.parent_run_id)
        path = (*context.parent.path, command.run_id)
    if len(path) > limits.RUN_DEPTH_MAX:
        return _over("path", limits.RUN_DEPTH_MAX, len(path))
    created = _created(command, context.experiment_id, path, context.run_number)
    return (created, e.RunStarted()) if command.start else (created,)


def _created(command: c.CreateRun, experiment_id: UUID, path: tuple[str, ...], number: int) -> e.RunCreated:
    return e.RunCreated(
        run_id=command.run_id,
        experiment=command.experiment,
        experiment_id=experiment_id,
        number=number,
        root_run_id=path[0],
        path=path,
        parent_run_id=command.parent_run_id,
        name=command.name,
        display_name=command.display_name,
        description=command.description,
        tags=command.tags,
        properties=command.properties,
        target=command.target,
        run_type=command.run_type,
        start=command.start,
    )


def _create_again(state: RunState, command: c.CreateRun, context: Context) -> Decision:
    if not command.resume:
        return _same_creation(state, command)
    if state.created.experiment != command.experiment:
        return _other_creation(state, {"experiment": (state.created.experiment, command.experiment)})
    if state.status in TERMINAL:
        return _ended(state, command)
    is_back = state.status is Status.NOT_RESPONDING and (context.will_hold or context.has_live_holder)
    status = state.status_before_lost if is_back else state.status
    if status is Status.NOT_STARTED and command.start:
        return (e.RunStarted(),)
    return (_found(state),) if is_back else NOTHING


def _same_creation(state: RunState, command: c.CreateRun) -> Decision:
    was = state.created
    again = _created(command, was.experiment_id, was.path, was.number)
    fields = e.RunCreated.__struct_fields__
    differing = {name: (getattr(was, name), getattr(again, name)) for name in fields}
    differing = {name: pair for name, pair in differing.items() if pair[0] != pair[1]}
    return _other_creation(state, differing) if differing else NOTHING


def _other_creation(state: RunState, differing: dict[str, tuple[Any, Any]]) -> Rejection:
    names = ", ".join(sorted(differing))
    return Rejection(
        code="conflict",
        message=f"run {state.created.run_id!r} exists with other content: {names}",
        facts={
            "run_id": state.created.run_id,
            "event": str(state.created_event),
            "differing": {
                name: {"current": _bounded(was), "attempted": _bounded(new)}
                for name, (was, new) in differing.items()
            },
        },
    )


# Lifecycle


def _start(state: RunState, command: c.StartRun, context: Context) -> Decision:
    return (e.RunStarted(),)


def _advance(state: RunState, command: c.AdvanceRun, context: Context) -> Decision:
    if command.claim and state.status is not Status.STARTING:
        return _conflict(state, command, f"only a run in Starting can be claimed; it is {state.status}")
    if command.claim and not context.will_hold:
        return _conflict(
            state, command, "only a process that will hold the run can claim it: send it with hold"
        )
    if state.status is Status.CANCEL_REQUESTED and command.status is not Status.FINALIZING:
        return _conflict(state, command, "a cancel was requested; only Finalizing or an end can follow")
    if state.status is command.status and command.details is None:
        return NOTHING
    return (e.RunAdvanced(status=command.status, details=command.details),)


def _request_cancel(state: RunState, command: c.RequestCancel, context: Context) -> Decision:
    if not context.has_live_holder:
        return (e.RunCanceled(reason=command.reason),)
    if state.status is Status.CANCEL_REQUESTED:
        return NOTHING
    return (e.RunCancelRequested(reason=command.reason),)


def _complete(state: RunState, command: c.CompleteRun, context: Context) -> Decision:
    return (e.RunCompleted(),)


def _fail(state: RunState, command: c.FailRun, context: Context) -> Decision:
    return (e.RunFailed(error=command.error),)


def _cancel(state: RunState, command: c.CancelRun, context: Context) -> Decision:
    return (e.RunCanceled(reason=command.reason),)


def _mark_lost(state: RunState, command: c.MarkLost, context: Context) -> Decision:
    if context.has_live_holder or not context.ever_held:
        return NOTHING
    if state.status is Status.CANCEL_REQUESTED:
        return (e.RunCanceled(reason="its last holder was lost after a cancel was requested"),)
    return (e.RunLost(),)


def _mark_found(state: RunState, command: c.MarkFound, context: Context) -> Decision:
    return (_found(state),) if context.has_live_holder else NOTHING


def _found(state: RunState) -> e.RunFound:
    return e.RunFound(status=state.status_before_lost or Status.RUNNING)


# Data


def _log_metrics(state: RunState, command: c.LogMetrics, context: Context) -> Decision:
    return (e.MetricsLogged(bytes(command.batch), context.content_type),)


def _log_params(state: RunState, command: c.LogParams, context: Context) -> Decision:
    new = _write_once(state.params, command.params, "parameter", limits.PARAMS_PER_RUN_MAX)
    if isinstance(new, Rejection):
        return new
    return (e.ParamsLogged(params=new, late=_is_late(state)),) if new else NOTHING


def _add_properties(state: RunState, command: c.AddProperties, context: Context) -> Decision:
    new = _write_once(state.properties, command.properties, "property", limits.PROPERTIES_PER_RUN_MAX)
    if isinstance(new, Rejection):
        return new
    return (e.PropertiesAdded(properties=new, late=_is_late(state)),) if new else NOTHING


def _write_once(
    there: dict[str, Written], given: Any, what: str, keys_max: int
) -> dict[str, Any] | Rejection:
    """The keys of ``given`` that are new; a key with another value refuses all of it."""
    new = {key: value for key, value in given.items() if key not in there}
    wrong = {
        key: value for key, value in given.items() if key in there and not _equal(there[key].value, value)
    }
    if wrong:
        key, value = next(iter(wrong.items()))
        first = there[key]
        return Rejection(
            code="property_immutable" if what == "property" else "parameter_immutable",
            message=f"{what} {key!r} is {_shown(first.value)} since event {first.event}; "
            f"it cannot become {_shown(value)}",
            facts={
                "key": key,
                "current": first.value,
                "attempted": value,
                "event": str(first.event),
                "keys": sorted(wrong),
            },
        )
    if len(there) + len(new) > keys_max:
        return _over("properties" if what == "property" else "params", keys_max, len(there) + len(new))
    return new


def _equal(a: ParamValue, b: ParamValue) -> bool:
    return type(a) is type(b) and a == b


def _set_tags(state: RunState, command: c.SetTags, context: Context) -> Decision:
    new = {
        key: value for key, value in command.tags.items() if key not in state.tags or state.tags[key] != value
    }
    if not new:
        return NOTHING
    size = len(state.tags.keys() | new.keys())
    if size > limits.TAGS_PER_RUN_MAX:
        return _over("tags", limits.TAGS_PER_RUN_MAX, size)
    return (e.TagsSet(tags=new, late=_is_late(state)),)


def _remove_tags(state: RunState, command: c.RemoveTags, context: Context) -> Decision:
    keys = tuple(dict.fromkeys(key for key in command.keys if key in state.tags))
    return (e.TagsRemoved(keys=keys, late=_is_late(state)),) if keys else NOTHING


def _update(state: RunState, command: c.UpdateRun, context: Context) -> Decision:
    name = UNSET if command.display_name == state.display_name else command.display_name
    text = UNSET if command.description == state.description else command.description
    if name is UNSET and text is UNSET:
        return NOTHING
    return (e.RunUpdated(display_name=name, description=text),)


def _archive(state: RunState, command: c.ArchiveRun, context: Context) -> Decision:
    return NOTHING if state.archived else (e.RunArchived(),)


def _restore(state: RunState, command: c.RestoreRun, context: Context) -> Decision:
    return (e.RunRestored(),) if state.archived else NOTHING


def _record_artifact(state: RunState, command: c.RecordArtifact, context: Context) -> Decision:
    there = state.artifacts.get(command.path)
    if there is not None:
        if there == Artifact(command.sha256, command.size_bytes):
            return NOTHING
        return _conflict(
            state,
            command,
            f"Resource Conflict: ArtifactId ExperimentRun/dcid.{command.run_id}/{command.path} already exists.",
        )
    if len(state.artifacts) >= limits.ARTIFACTS_PER_RUN_MAX:
        return _over("artifacts", limits.ARTIFACTS_PER_RUN_MAX, len(state.artifacts) + 1)
    return (
        e.ArtifactRecorded(
            path=command.path,
            sha256=command.sha256,
            size_bytes=command.size_bytes,
            content_type=command.content_type,
            late=_is_late(state),
        ),
    )


def _declare_lost(state: RunState, command: c.DeclareLost, context: Context) -> Decision:
    return (
        e.CommandsLost(first=command.first, last=command.last, reason=command.reason, values=command.values),
    )


def _erase(state: RunState, command: c.EraseRun, context: Context) -> Decision:
    was = state.created
    return (
        e.RunErased(
            run_id=was.run_id,
            experiment=was.experiment,
            experiment_id=was.experiment_id,
            number=was.number,
            root_run_id=was.root_run_id,
            path=was.path,
            status=state.status,
            parent_run_id=was.parent_run_id,
            reason=command.reason,
        ),
    )


# Refusals


def _is_late(state: RunState) -> bool:
    return state.status in TERMINAL


def _ended(state: RunState, command: c.RunCommand) -> Rejection:
    return Rejection(
        code="run_ended",
        message=f"run {state.created.run_id!r} is {state.status} since event {state.ended_event}; "
        f"{c.command_type(command)} came too late",  # type: ignore[arg-type]  # RunCommand is the base of the union
        facts={"run_id": state.created.run_id, "status": state.status, "event": str(state.ended_event)},
    )


def _erased(state: RunState) -> Rejection:
    return Rejection(
        code="conflict",
        message=f"run {state.created.run_id!r} was erased",
        facts={"run_id": state.created.run_id, "erased": True},
    )


def _conflict(state: RunState, command: c.RunCommand, why: str) -> Rejection:
    return Rejection(
        code="conflict",
        message=f"run {state.created.run_id!r}: {why}",
        facts={"run_id": state.created.run_id, "status": state.status, "reason": why},
    )


def _unknown(field: str, value: str) -> Rejection:
    what = "experiment" if field == "experiment" else "parent run"
    return Rejection(
        code="not_found",
        message=f"there is no {what} {value!r}; create it first",
        facts={"field": field, "size": value},
        recorded=False,
    )


def _over(field: str, limit: int, size: int) -> Rejection:
    return Rejection(
        code="limit_exceeded",
        message=f"A field is over the size limit. FieldName={field}, Limit={limit}, Size={size}",
        facts={"field": field, "limit": limit, "size": size},
        recorded=False,
    )


def _bounded(value: Any, chars_max: int = 2_000) -> Any:
    """The value, or the beginning of a long one: a refusal is not larger than what it refuses."""
    return value if len(repr(value)) <= chars_max else _shown(value, chars_max)


def _shown(value: Any, chars_max: int = 200) -> str:
    text = repr(value)
    return text if len(text) <= chars_max else f"{text[:chars_max]}… ({len(text)} characters)"


_RULES: Final[dict[type, Callable[[RunState, Any, Context], Decision]]] = {
    c.StartRun: _start,
    c.AdvanceRun: _advance,
    c.RequestCancel: _request_cancel,
    c.CompleteRun: _complete,
    c.FailRun: _fail,
    c.CancelRun: _cancel,
    c.MarkLost: _mark_lost,
    c.MarkFound: _mark_found,
    c.LogMetrics: _log_metrics,
    c.LogParams: _log_params,
    c.AddProperties: _add_properties,
    c.SetTags: _set_tags,
    c.RemoveTags: _remove_tags,
    c.UpdateRun: _update,
    c.ArchiveRun: _archive,
    c.RestoreRun: _restore,
    c.RecordArtifact: _record_artifact,
    c.DeclareLost: _declare_lost,
    c.EraseRun: _erase,
}
