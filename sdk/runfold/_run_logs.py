"""What a run printed, and its details as far as they need its files."""

# pyright: reportPrivateUsage=false
# Handles are friends of one another: what they share is no part of the public surface.

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from runfold import _downloads, _shapes
from runfold._run_base import RunBase
from runfold_events.contract.errors import Invalid, NotFound

if TYPE_CHECKING:
    from runfold_services.agent.definition import RunDefinition

LOG_CHUNK_BYTES: Final = 1024 * 1024
LOGS_IN_MEMORY_BYTES_MAX: Final = 64 * 1024 * 1024  # of each log, in get_details_with_logs


class RunLogs(RunBase):
    """Logs: files under ``user_logs/``, ``system_logs/`` and ``logs/``, whether they still grow or not."""

    def get_details(self) -> dict[str, Any]:
        """The run in Azure ML's keys.

        ``runId, target, status, startTimeUtc, [endTimeUtc], properties, [error], [warnings], inputDatasets,
        outputDatasets, [runDefinition], logFiles, submittedBy``; times as text, UTC. ``endTimeUtc`` exists only once it
        has ended, ``runDefinition`` only of a submitted run.
        """
        view = self._fetch()
        details = _shapes.details(view)
        definition = self._definition() if view.run_type is not None else None
        if definition is not None:
            warnings = [{"source": "runfold", "message": text} for text in definition.warnings]
            if warnings:
                details["warnings"] = warnings + details.get("warnings", [])
            details["runDefinition"] = definition.configuration
        base = f"{self.get_portal_url()}/logs"
        details["logFiles"] = {path: f"{base}/{quote(path)}" for path in _downloads.log_names(self)}
        return details

    def get_details_with_logs(self) -> dict[str, Any]:
        """Like :meth:`get_details`, with the logs' contents instead of addresses: of each the last 64 MiB."""
        details = self.get_details()
        details["logFiles"] = {path: self._log_text(path) for path in details["logFiles"]}
        return details

    def get_environment(self) -> Any:
        """The environment that a submitted run was to have.

        Raises:
            Invalid: the run was not submitted.
        """
        from runfold.environment import Environment

        definition = self._definition()
        if definition is None:
            raise Invalid(
                "There is no run definition or environment specified for the run.",
                facts={"field": "run_id", "size": self._run_id},
            )
        return Environment.of(definition.configuration.get("environment"), "environment")

    def _definition(self) -> RunDefinition | None:
        from runfold import _definition

        try:
            return _definition.read(self._workspace, self._run_id)
        except NotFound:
            return None

    def _log_paths(self, folders: Iterable[str]) -> list[str]:
        """Paths of the logs in these folders, growing or not, in order."""
        name, run_id = self._workspace.name, self._run_id
        wanted = tuple(folders)
        live = self._ask(lambda transport, _: transport.logs(name, run_id))
        paths = {log.path for log in live if log.path.startswith(wanted)}
        for folder in wanted:
            recorded = self._ask(
                lambda transport, at, folder=folder: transport.files(name, run_id, folder, at)  # type: ignore[misc]
            )
            paths.update(file.path for file in recorded)
        return sorted(paths)

    def _read_log(self, path: str, offset: int, bytes_max: int) -> bytes:
        name, run_id = self._workspace.name, self._run_id
        return self._ask(lambda transport, _: transport.read_log(name, run_id, path, offset, bytes_max))

    def _log_chunks(self, path: str, offset: int = 0) -> Iterator[bytes]:
        while data := self._read_log(path, offset, LOG_CHUNK_BYTES):
            yield data
            offset += len(data)

    def _log_text(self, path: str) -> str:
        kept = bytearray()
        for chunk in self._log_chunks(path):
            kept += chunk
            if len(kept) > 2 * LOGS_IN_MEMORY_BYTES_MAX:
                del kept[:-LOGS_IN_MEMORY_BYTES_MAX]
        return bytes(kept[-LOGS_IN_MEMORY_BYTES_MAX:]).decode("utf-8", "replace")
