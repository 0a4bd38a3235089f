"""The rules of an experiment."""

from __future__ import annotations

from uuid import UUID

from msgspec import UNSET, Struct
from msgspec.structs import replace

from runfold_events.contract import commands as c
from runfold_events.contract import events as e
from runfold_events.contract import limits
from runfold_events.contract.commands import Tags
from runfold_events.rules.decision import NOTHING, Decision, Rejection

ExperimentEvent = e.ExperimentCreated | e.ExperimentUpdated


class ExperimentState(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What decisions about an experiment depend on."""

    experiment: str
    experiment_id: UUID
    description: str | None = None
    tags: Tags = {}
    archived: bool = False


def decide(state: ExperimentState | None, command: c.ExperimentCommand, experiment_id: UUID) -> Decision:
    """The events that ``command`` gives (none: nothing changes), or why it is refused."""
    if isinstance(command, c.EnsureExperiment):
        if state is not None:
            return NOTHING
        return (
            e.ExperimentCreated(
                experiment=command.experiment,
                experiment_id=experiment_id,
                description=command.description,
                tags=command.tags,
            ),
        )
    if state is None:
        return Rejection(
            code="not_found",
            message=f"there is no experiment {command.experiment!r}",
            facts={"experiment": command.experiment},
            recorded=False,
        )
    return _update(state, command)


def _update(state: ExperimentState, command: c.UpdateExperiment) -> Decision:
    kept = {key: value for key, value in command.set_tags.items() if key not in command.remove_tags}
    set_tags = {key: value for key, value in kept.items() if state.tags.get(key, UNSET) != value}
    removed = tuple(dict.fromkeys(key for key in command.remove_tags if key in state.tags))
    description = UNSET if command.description == state.description else command.description
    archived = UNSET if command.archived == state.archived else command.archived
    if not set_tags and not removed and description is UNSET and archived is UNSET:
        return NOTHING
    size = len((state.tags.keys() | set_tags.keys()) - set(removed))
    if size > limits.TAGS_PER_RUN_MAX:
        return Rejection(
            code="limit_exceeded",
            message=f"A field is over the size limit. FieldName=tags, Limit={limits.TAGS_PER_RUN_MAX}, Size={size}",
            facts={"field": "tags", "limit": limits.TAGS_PER_RUN_MAX, "size": size},
            recorded=False,
        )
    return (
        e.ExperimentUpdated(
            set_tags=set_tags, removed_tags=removed, description=description, archived=archived
        ),
    )


def evolve(state: ExperimentState | None, event: e.AnyEvent) -> ExperimentState:
    """The state after ``event``."""
    if isinstance(event, e.ExperimentCreated):
        return ExperimentState(
            experiment=event.experiment,
            experiment_id=event.experiment_id,
            description=event.description,
            tags=event.tags,
        )
    if state is None:
        raise ValueError(f"{e.event_type(event)} before experiment.created")
    if not isinstance(event, e.ExperimentUpdated):
        return state
    gone = set(event.removed_tags)
    return replace(
        state,
        tags={key: value for key, value in (state.tags | event.set_tags).items() if key not in gone},
        description=state.description if event.description is UNSET else event.description,
        archived=state.archived if event.archived is UNSET else event.archived,
    )
