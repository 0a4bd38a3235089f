"""The summary row of a run as the fold changes it, and its form in the table."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
from msgspec import Struct

from runfold_events.contract.commands import ErrorInfo, Params, Properties, Tags
from runfold_events.contract.statuses import Status
from runfold_projections.projection import Row

_json = msgspec.json.Encoder().encode
_tags = msgspec.json.Decoder(Tags).decode
_params = msgspec.json.Decoder(Params).decode
_path = msgspec.json.Decoder(tuple[str, ...]).decode
_error = msgspec.json.Decoder(ErrorInfo).decode


class RunRow(Struct, kw_only=True):
    """One run; times are UTC µs by the store's clock. Fields stand in the order of the table's columns."""

    run_key: int
    workspace: str
    run_id: str
    experiment: str
    experiment_id: UUID
    number: int
    status: Status
    status_details: str | None = None
    parent_run_id: str | None = None
    root_run_id: str
    path: tuple[str, ...]
    name: str | None = None
    display_name: str | None = None
    description: str | None = None
    run_type: str | None = None
    target: str = "local"
    created_at: int
    started_at: int | None = None
    ended_at: int | None = None
    created_by: str
    archived: bool = False
    erased: bool = False
    error: ErrorInfo | None = None
    cancel_reason: str | None = None
    tags: Tags = {}
    properties: Properties = {}
    params: Params = {}
    rejections: int = 0
    lost_commands: int = 0
    lost_values: int = 0
    updated_at: int

    def to_row(self) -> Row:
        """The values of the table's columns."""
        values: list[Any] = [getattr(self, name) for name in self.__struct_fields__]
        values[_EXPERIMENT_ID] = self.experiment_id.bytes
        values[_STATUS] = self.status.value
        values[_PATH] = _json(self.path).decode()
        values[_ERROR] = None if self.error is None else _json(self.error).decode()
        values[_TAGS] = _json(self.tags).decode()
        values[_PROPERTIES] = _json(self.properties).decode()
        values[_PARAMS] = _json(self.params).decode()
        return tuple(values)

    @classmethod
    def from_row(cls, row: Row) -> RunRow:
        """Undo :meth:`to_row`."""
        values = dict(zip(cls.__struct_fields__, row, strict=True))
        values["experiment_id"] = UUID(bytes=values["experiment_id"])
        values["status"] = Status(values["status"])
        values["path"] = decode_path(values["path"])
        values["archived"] = bool(values["archived"])
        values["erased"] = bool(values["erased"])
        values["error"] = decode_error(values["error"])
        values["tags"] = decode_tags(values["tags"])
        values["properties"] = decode_tags(values["properties"])
        values["params"] = decode_params(values["params"])
        return cls(**values)


def decode_path(text: str) -> tuple[str, ...]:
    """The run ids from the root to the run."""
    return _path(text)


def decode_tags(text: str) -> Tags:
    """Tags or properties."""
    return _tags(text)


def decode_params(text: str) -> Params:
    """Parameters; a whole float such as 1.0 stays a float."""
    return _params(text)


def decode_error(text: str | None) -> ErrorInfo | None:
    """Why the run failed."""
    return None if text is None else _error(text)


_FIELDS = RunRow.__struct_fields__
_EXPERIMENT_ID = _FIELDS.index("experiment_id")
_STATUS = _FIELDS.index("status")
_PATH = _FIELDS.index("path")
_ERROR = _FIELDS.index("error")
_TAGS = _FIELDS.index("tags")
_PROPERTIES = _FIELDS.index("properties")
_PARAMS = _FIELDS.index("params")
