"""Metrics whose values are files: images, and Azure ML's four types of charts."""

# pyright: reportPrivateUsage=false
# Handles are friends of one another: what they share is no part of the public surface.

from __future__ import annotations

import io
import json
import os
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from runfold import _downloads, _values
from runfold._files import Upload, normal_path, open_regular, upload
from runfold._run_base import RunBase
from runfold._run_files import RunFiles
from runfold._run_logging import RunLogging
from runfold_events.contract.errors import Conflict, Invalid

_IMAGES: Final = (
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "image/png"),
    (re.compile(rb"\xff\xd8\xff"), "image/jpeg"),
    (re.compile(rb"GIF8[79]a"), "image/gif"),
    (re.compile(rb"BM"), "image/bmp"),
    (re.compile(rb"(?s)RIFF....WEBP"), "image/webp"),
    (re.compile(rb"II\*\x00|MM\x00\*"), "image/tiff"),
    (re.compile(rb"(?s)\s*(<\?xml.*?)?<svg"), "image/svg+xml"),
)
_HEAD_BYTES: Final = 1_024
_VALUE: Final = re.compile(r"aml://artifactId/ExperimentRun/dcid\.([^/]+)/(.+)", re.DOTALL)


class Artifact:
    """A metric's file, as ``get_metrics(populate=True)`` gives it.

    Attributes:
        value: what the metric says: ``aml://artifactId/ExperimentRun/dcid.{run id}/{path}``.
        path: the file's path in the run.
        data: its content.
    """

    __slots__ = ("data", "path", "value")

    def __init__(self, value: str, path: str, data: bytes) -> None:
        self.value = value
        self.path = path
        self.data = data

    def __repr__(self) -> str:
        return f"Artifact({self.path!r}, {len(self.data)} bytes)"


class RunCharts(RunLogging, RunFiles):
    """Calls that upload a file and log where it is. Unlike other logging calls they wait until it is stored."""

    def log_image(
        self,
        name: str,
        path: str | os.PathLike[str] | None = None,
        plot: Any = None,
        description: str = "",
    ) -> None:
        """Log an image: a local file, or a plot of Matplotlib.

        Args:
            name: the metric.
            path: the image; its path in the run is the same (of an absolute path, or one with ``..``, the last part).
            plot: anything with ``savefig``, such as ``matplotlib.pyplot`` or a figure; becomes ``{name}_{time}.png``.
            description: what the metric means.

        Raises:
            Invalid: both or none were given, or the file is no image.
            Conflict: the run has another file of this name.
        """
        _values.check_name(name)
        if (path is None) == (plot is None):
            raise Invalid(
                "log_image takes a path or a plot: one of them",
                facts={"field": "path", "limit": "path or plot"},
            )
        stored = self._upload_plot(name, plot) if path is None else self._upload_image(Path(path))
        self._log_file(name, "image", stored, description)

    def log_confusion_matrix(self, name: str, value: Mapping[str, Any] | str, description: str = "") -> None:
        """Log a confusion matrix: ``{"schema_type": "confusion_matrix", "schema_version": "1.0.0", "data": {…}}``.

        The data are ``class_labels`` and ``matrix``; as a dict or as JSON. It is stored as a file of the metric's name.

        Raises:
            Invalid: no JSON.
            Conflict: the run has another file of this name.
        """
        self._log_chart(name, value, description)

    def log_accuracy_table(self, name: str, value: Mapping[str, Any] | str, description: str = "") -> None:
        """Log an accuracy table, whose data are ``probability_tables``, ``percentile_tables``, their thresholds and
        ``class_labels``; see :meth:`log_confusion_matrix`.
        """
        self._log_chart(name, value, description)

    def log_residuals(self, name: str, value: Mapping[str, Any] | str, description: str = "") -> None:
        """Log residuals, whose data are ``bin_edges`` and ``bin_counts``; see :meth:`log_confusion_matrix`."""
        self._log_chart(name, value, description)

    def log_predictions(self, name: str, value: Mapping[str, Any] | str, description: str = "") -> None:
        """Log predictions, whose data are ``bin_averages``, ``bin_errors``, ``bin_counts`` and ``bin_edges``; see
        :meth:`log_confusion_matrix`.
        """
        self._log_chart(name, value, description)

    def _upload_image(self, path: Path) -> str:
        with open_regular(path.expanduser()) as file:
            kind = image_type(file.read(_HEAD_BYTES))
            if kind is None:
                raise Invalid(
                    f"Argument [{path}] is malformed: its content is no image",
                    facts={"field": "path", "limit": [kind for _, kind in _IMAGES], "size": str(path)[:200]},
                )
            tidy = os.path.normpath(path).replace(os.sep, "/")
            stored = path.name if path.is_absolute() or tidy.startswith("..") else tidy
            upload(self, [Upload(normal_path(stored, "path"), file, kind)])
        return normal_path(stored, "path")

    def _upload_plot(self, name: str, plot: Any) -> str:
        if not hasattr(plot, "savefig"):
            raise Invalid(
                f"plot must have savefig, as matplotlib.pyplot and figures have; {type(plot).__name__} has not",
                facts={"field": "plot", "limit": "savefig", "size": type(plot).__name__},
            )
        image = io.BytesIO()
        plot.savefig(image, format="png")
        stored = normal_path(f"{name}_{time.time_ns() // 1_000_000_000}.png")
        try:
            upload(self, [Upload(stored, image, "image/png")])
        except Conflict:  # another plot of the same second
            stored = normal_path(f"{name}_{time.time_ns()}.png")
            upload(self, [Upload(stored, image, "image/png")])
        return stored

    def _log_chart(self, name: str, value: Mapping[str, Any] | str, description: str) -> None:
        stored = normal_path(_values.check_name(name))
        upload(self, [Upload(stored, io.BytesIO(chart_json(value)), "application/json")])
        self._log_file(name, "chart", stored, description)

    def _log_file(self, name: str, kind: str, path: str, description: str) -> None:
        value = f"aml://artifactId/ExperimentRun/dcid.{self._run_id}/{path}"
        series = self._series(name, kind, description)
        if not self._journal.add_wide(series, None, value, values=1):
            self._no_room()


def populated(run: RunBase, value: Any) -> Any:
    """The file that a metric's value names; of several the first, as in Azure ML."""
    several: list[Any] = list(value) if isinstance(value, list) else [value]  # pyright: ignore[reportUnknownArgumentType]  # of anything
    first = several[0]
    found = _VALUE.fullmatch(first) if isinstance(first, str) else None
    if found is None:
        return first
    owner = run if found[1] == run._run_id else run._workspace.get_run(found[1])
    return Artifact(found[0], found[2], b"".join(_downloads.pieces_of(owner, found[2])))


def image_type(head: bytes) -> str | None:
    """The media type of an image by how it begins; None: it is none that is known."""
    return next((kind for pattern, kind in _IMAGES if pattern.match(head)), None)


def chart_json(value: Mapping[str, Any] | str) -> bytes:
    """A chart as the bytes of its file.

    Raises:
        Invalid: text that is no JSON, or something that JSON cannot say.
    """
    try:
        if isinstance(value, str):
            json.loads(value)
            return value.encode()
        return json.dumps(value, default=_plain).encode()
    except (ValueError, TypeError, RecursionError) as error:
        raise Invalid(f"Invalid JSON provided: {error}", facts={"field": "value", "limit": "JSON"}) from None


def _plain(value: Any) -> Any:
    """NumPy's arrays and numbers, and mappings, as JSON knows them."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, Mapping):
        return {str(key): item for key, item in value.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]  # of anything
    raise TypeError(f"{type(value).__name__} is nothing that JSON knows")
