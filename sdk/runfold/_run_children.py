"""Child runs: making them, finding them, adding them up."""

# pyright: reportPrivateUsage=false
# Handles are friends of one another: what they share is no part of the public surface.

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from runfold._experiment import new_run_id, run_query, submit_options
from runfold._filters import Filter, label, text
from runfold._run_base import RunBase
from runfold_events.contract.commands import CreateRun, Tags
from runfold_events.contract.errors import Invalid
from runfold_events.contract.ids import bulk_run_id, check_run_id
from runfold_events.contract.limits import CHILDREN_PER_REQUEST_MAX

if TYPE_CHECKING:
    from runfold._run import Run
    from runfold._script_run import ScriptRun
    from runfold_projections.model import ChildCounts

BATCH_NUMBER_TAG: Final = "azureml.batch_child_number"


class RunChildren(RunBase):
    """A run's children. Their statuses and their parent's are independent."""

    def child_run(
        self, name: str | None = None, run_id: str | None = None, outputs: str | bool | None = None
    ) -> Run:
        """Create and start a child that this process holds; also of a parent that has ended.

        Args:
            name: appended to the parent's name with ``>``.
            run_id: default: a new UUIDv7.
            outputs: a folder whose files are uploaded at its end, as in :meth:`runfold.Experiment.start_logging`.

        Raises:
            Conflict: a run with this id and other content exists.
        """
        from runfold._outputs import outputs_of
        from runfold._run import create_runs

        collected = outputs_of(outputs)
        run_id = new_run_id() if run_id is None else check_run_id(run_id)
        command = CreateRun(
            run_id=run_id,
            experiment=self._experiment.name,
            parent_run_id=self._run_id,
            name=f"{self._name_for_children()}>{name or ''}",
        )
        child = create_runs(self._experiment, [command])[0]
        child._outputs = collected
        return child

    def create_children(
        self,
        count: int | None = None,
        tag_key: str | None = None,
        tag_values: Sequence[Any] | None = None,
    ) -> list[Run]:
        """Create and start many children in one request; each has to be ended.

        Args:
            count: so many children, tagged ``azureml.batch_child_number`` = ``"0"``, ``"1"``, …
            tag_key: with ``tag_values`` instead: one child for each value, tagged with it.
            tag_values: see ``tag_key``.

        Raises:
            Invalid: both or neither were given, or more than 10,000 are wanted.
        """
        from runfold._run import create_runs

        tags = _children_tags(count, tag_key, tag_values)
        bulk_key = str(uuid4())
        commands = [
            CreateRun(
                run_id=bulk_run_id(bulk_key, index),
                experiment=self._experiment.name,
                parent_run_id=self._run_id,
                tags=own,
            )
            for index, own in enumerate(tags)
        ]
        return create_runs(self._experiment, commands) if commands else []

    def submit_child(self, config: object, tags: Mapping[str, Any] | None = None, **kwargs: Any) -> ScriptRun:
        """Submit a script as a child of this run; see :meth:`runfold.Experiment.submit`."""
        from runfold._submit import submit

        return submit(self._experiment, config, tags, parent_run_id=self._run_id, **submit_options(kwargs))

    def get_children(
        self,
        recursive: bool = False,
        tags: Filter = None,
        properties: Filter = None,
        type: str | None = None,
        status: str | None = None,
        _rehydrate_runs: bool = True,
    ) -> Iterator[Run]:
        """Children, newest first; a generator that asks page after page while it is iterated.

        Args:
            recursive: all descendants, not only direct children.
            tags: a key that must exist, or a dict of values that must be equal (as text); several are ANDed.
            properties: likewise.
            type: the run's type.
            status: one status, exactly as it is spelt.

        Raises:
            Invalid: a filter of another type, or a status that there is not; when the call is made.
        """
        import msgspec

        query = msgspec.structs.replace(
            run_query(None, type, tags, properties, status, True),
            parent_run_id=None if recursive else self._run_id,
            ancestor_run_id=self._run_id if recursive else None,
        )
        return self._experiment._runs(query, rehydrate=_rehydrate_runs)

    def child_counts(self) -> ChildCounts:
        """How many direct children, and how many descendants, have which status. Ours."""
        workspace, run_id = self._workspace.name, self._run_id
        return self._ask(lambda transport, at: transport.child_counts(workspace, run_id, at))

    def _name_for_children(self) -> str:
        if self._created is not None:
            return self._created.name or f"run_{self._run_id}"
        return self._seen().name or f"run_{self._run_id}"


def _children_tags(count: int | None, tag_key: str | None, tag_values: Sequence[Any] | None) -> list[Tags]:
    """The tags of each child that ``create_children`` was asked for; the error texts are Azure ML's."""
    if count is None and tag_key is None and tag_values is None:
        raise _wrong("count", "Either count or tag_key and tag_values must be set")
    if count is not None and (tag_key is not None or tag_values is not None):
        raise _wrong("count", "count can not be set when tag_key and tag_values are set")
    if count is not None:
        wanted = _whole(count)
        _check_children(wanted)
        return [{BATCH_NUMBER_TAG: str(index)} for index in range(wanted)]
    if tag_values is None:
        raise _wrong("tag_values", "tag_values must not be null when tag_key is set")
    if tag_key is None:
        raise _wrong("tag_key", "tag_key must not be null when tag_values is set")
    values = list(tag_values)
    _check_children(len(values))
    return [{text(tag_key, "tag_key"): label(value)} for value in values]


def _whole(count: Any) -> int:
    if isinstance(count, bool) or not hasattr(count, "__index__"):
        raise _wrong("count", f"count must be a whole number, not {type(count).__name__}")
    return int(count)


def _check_children(count: int) -> None:
    if count > CHILDREN_PER_REQUEST_MAX:
        raise Invalid(
            f"create_children can not create more than {CHILDREN_PER_REQUEST_MAX} runs",
            facts={"field": "count", "limit": CHILDREN_PER_REQUEST_MAX, "size": count},
        )


def _wrong(field: str, message: str) -> Invalid:
    return Invalid(message, facts={"field": field, "limit": "count, or tag_key and tag_values"})
