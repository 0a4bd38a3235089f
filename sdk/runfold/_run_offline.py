"""The run of a script that nobody submitted: it prints what it is told, and remembers it.

In Azure ML an offline run has part of a run's methods, and scripts that use another one fail as soon as somebody
tries them out by hand. Here it *is* a run, with the real rules, in a ledger in memory, gone with the process.
"""

# pyright: reportPrivateUsage=false
# Handles are friends of one another: what they share is no part of the public surface.

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self, SupportsIndex
from uuid import uuid4

from runfold import _process
from runfold._connection import Connection
from runfold._run import Run
from runfold._run_lifecycle import FLUSH_TIMEOUT_S
from runfold.errors import SubmissionFailed
from runfold_events.contract.commands import CreateRun

EXPERIMENT: Final = "offline"
PREFIX: Final = "OfflineRun_"


class OfflineRun(Run):
    """A run in memory. Every call that would be sent somewhere says so on stdout, in Azure ML's words."""

    @classmethod
    def _new(cls) -> Self:
        from runfold._experiment import Experiment
        from runfold._workspace import Workspace

        connection = _process.register(Connection(_open_memory, linger_s=0.0))
        experiment = Experiment(Workspace._over(connection, "offline"), EXPERIMENT)
        return cls._recorded(experiment, CreateRun(run_id=f"{PREFIX}{uuid4()}", experiment=EXPERIMENT))

    @classmethod
    def _recorded(cls, experiment: Any, command: CreateRun) -> Self:
        run = cls.__new__(cls)
        run._bind(experiment, command.run_id, created=command)
        run._call(command)
        return run

    # Values

    def log(
        self, name: str, value: Any, description: str = "", step: SupportsIndex | float | None = None
    ) -> None:
        """See :meth:`runfold.Run.log`."""
        super().log(name, value, description, step)
        _say(f"Attempted to log scalar metric {name}:\n{value}")

    def log_list(self, name: str, value: Iterable[Any], description: str = "") -> None:
        """See :meth:`runfold.Run.log_list`."""
        values = list(value)
        super().log_list(name, values, description)
        _say(f"Attempted to log list metric {name}:\n{values}")

    def log_row(self, name: str, description: str | None = None, **kwargs: Any) -> None:
        """See :meth:`runfold.Run.log_row`."""
        super().log_row(name, description, **kwargs)
        _say(f"Attempted to log row metric {name}:\n{kwargs}")

    def log_table(self, name: str, value: Mapping[str, Any], description: str = "") -> None:
        """See :meth:`runfold.Run.log_table`."""
        super().log_table(name, value, description)
        _say(f"Attempted to log table metric {name}:\n{value}")

    def log_image(
        self,
        name: str,
        path: str | os.PathLike[str] | None = None,
        plot: Any = None,
        description: str = "",
    ) -> None:
        """See :meth:`runfold.Run.log_image`."""
        super().log_image(name, path, plot, description)
        _say(f"Attempted to log image metric {name}:\n{plot if path is None else path}")

    def log_confusion_matrix(self, name: str, value: Mapping[str, Any] | str, description: str = "") -> None:
        """See :meth:`runfold.Run.log_confusion_matrix`."""
        super().log_confusion_matrix(name, value, description)
        _say(f"Attempted to log confusion matrix metric {name}:\n{value}")

    def log_accuracy_table(self, name: str, value: Mapping[str, Any] | str, description: str = "") -> None:
        """See :meth:`runfold.Run.log_accuracy_table`."""
        super().log_accuracy_table(name, value, description)
        _say(f"Attempted to log accuracy table metric {name}:\n{value}")

    def log_residuals(self, name: str, value: Mapping[str, Any] | str, description: str = "") -> None:
        """See :meth:`runfold.Run.log_residuals`."""
        super().log_residuals(name, value, description)
        _say(f"Attempted to log residuals metric {name}:\n{value}")

    def log_predictions(self, name: str, value: Mapping[str, Any] | str, description: str = "") -> None:
        """See :meth:`runfold.Run.log_predictions`."""
        super().log_predictions(name, value, description)
        _say(f"Attempted to log predictions metric {name}:\n{value}")

    # Files

    def upload_file(self, name: str, path_or_stream: Any, datastore_name: str | None = None) -> None:
        """See :meth:`runfold.Run.upload_file`."""
        super().upload_file(name, path_or_stream, datastore_name)
        _say(f"Attempted to upload file {path_or_stream} to {name}")

    def upload_folder(self, name: str, path: Any, datastore_name: str | None = None) -> None:
        """See :meth:`runfold.Run.upload_folder`."""
        super().upload_folder(name, path, datastore_name)
        _say(f"Attempted to upload folder {path} to {name}")

    # Labels

    def tag(self, key: str, value: Any = None) -> None:
        """See :meth:`runfold.Run.tag`."""
        super().tag(key, value)
        _say(f"Attempted to add tag {key} with value {value}")

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        """See :meth:`runfold.Run.set_tags`."""
        super().set_tags(tags)
        for key, value in tags.items():
            _say(f"Attempted to add tag {key} with value {value}")

    def add_properties(self, properties: Mapping[str, Any]) -> None:
        """See :meth:`runfold.Run.add_properties`."""
        super().add_properties(properties)
        _say(f"Attempted to add properties {properties}")

    # Lifecycle

    def fail(
        self,
        error_details: str | BaseException | None = None,
        error_code: str | None = None,
        _set_status: bool = True,
    ) -> None:
        """See :meth:`runfold.Run.fail`."""
        super().fail(error_details, error_code, _set_status)
        _say(f"Run failed with error code {error_code}:\n{error_details}")

    def flush(self, timeout_seconds: float = FLUSH_TIMEOUT_S) -> None:
        """See :meth:`runfold.Run.flush`."""
        super().flush(timeout_seconds)
        _say(f"Attempted to flush run with id {self._run_id}")

    def __enter__(self) -> Self:
        _say(f"[START] Run {self._run_id} context")
        return super().__enter__()

    def __exit__(
        self,
        exit_type: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """See :meth:`runfold.Run.__exit__`."""
        super().__exit__(exit_type, value, trace)
        _say(f"[STOP] Run {self._run_id} context")

    # Children

    def child_run(
        self, name: str | None = None, run_id: str | None = None, outputs: str | bool | None = None
    ) -> OfflineRun:
        """See :meth:`runfold.Run.child_run`; its id begins with this run's."""
        return self._as_offline(super().child_run(name, run_id or f"{self._run_id}.{uuid4()}", outputs))

    def create_children(
        self,
        count: int | None = None,
        tag_key: str | None = None,
        tag_values: Sequence[Any] | None = None,
    ) -> list[Run]:
        """See :meth:`runfold.Run.create_children`."""
        return [self._as_offline(child) for child in super().create_children(count, tag_key, tag_values)]

    def submit_child(self, config: object, tags: Mapping[str, Any] | None = None, **kwargs: Any) -> Any:
        """Raises :class:`~runfold.errors.SubmissionFailed`: an offline run is in memory, where no agent sees it."""
        raise SubmissionFailed(
            "an offline run has no agent that could execute a child; submit the parent script, or give the child to an "
            "experiment of a workspace"
        )

    def _as_offline(self, run: Run) -> OfflineRun:
        offline = OfflineRun.__new__(OfflineRun)
        offline._bind(run._experiment, run._run_id, view=run._view, created=run._created)
        return offline


def _open_memory() -> Any:
    from runfold._embedded import EmbeddedTransport, os_actor
    from runfold_services.compose import MEMORY, open_embedded

    return EmbeddedTransport(open_embedded(MEMORY, background=False), os_actor())


def _say(text: str) -> None:
    print(text)  # noqa: T201  # what an offline run is for
