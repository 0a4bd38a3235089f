"""The choice of where contents of files are kept."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from runfold_events.contract.errors import Invalid
from runfold_services.files.port import FileStore

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig

FILES_FOLDER: Final = "files"
CONNECT_S_MAX: Final = 5.0
READ_S_MAX: Final = 60.0  # without a byte
TRANSFER_S_MAX: Final = 12 * 3600.0
RETRY_S_MAX: Final = 15.0  # within it a failed request is tried again; then the caller hears of it
RETRIES_MAX: Final = 5
_OBJECT_STORES: Final = ("s3", "gs", "az")


def open_files(place: str | None, home: Path | None) -> FileStore:
    """The file store at ``place``: a folder, ``file:///folder``, ``s3://bucket/prefix``, ``gs://…`` or ``az://…``.

    None: the folder ``files`` of the runfold home; without a home, a folder that goes with the process. Credentials and
    endpoints of object stores come from their usual variables (``AWS_…``, ``GOOGLE_…``, ``AZURE_…``).

    Raises:
        Invalid: ``place`` is none of these.
    """
    if place is None:
        return _temporary() if home is None else _local(home / FILES_FOLDER)
    scheme, marker, _ = place.partition("://")
    if not marker:
        return _local(Path(place).expanduser().absolute())
    if scheme == "file":
        return _local(Path(unquote(urlsplit(place).path)))
    if scheme in _OBJECT_STORES and urlsplit(place).netloc:
        return _objects(place)
    raise Invalid(
        f"RUNFOLD_FILES must be a folder or an address such as s3://bucket/prefix; got {place[:80]!r}",
        facts={
            "field": "RUNFOLD_FILES",
            "limit": [f"{name}://" for name in _OBJECT_STORES],
            "size": place[:80],
        },
    )


def _local(folder: Path) -> FileStore:
    from runfold_services.files.local import LocalFiles

    return LocalFiles(folder)


def _objects(address: str) -> FileStore:
    from obstore.exceptions import BaseError
    from obstore.store import from_url

    from runfold_services.files.objects import ObjectFiles

    client: ClientConfig = {
        "allow_http": True,  # where the endpoint that somebody named says so
        "connect_timeout": timedelta(seconds=CONNECT_S_MAX),
        "read_timeout": timedelta(seconds=READ_S_MAX),
        "timeout": timedelta(seconds=TRANSFER_S_MAX),  # left alone, a download may take 30 s in all
    }
    retries: RetryConfig = {"max_retries": RETRIES_MAX, "retry_timeout": timedelta(seconds=RETRY_S_MAX)}
    try:
        return ObjectFiles(from_url(address, client_options=client, retry_config=retries))
    except (BaseError, ValueError) as error:
        raise Invalid(
            f"RUNFOLD_FILES={address[:200]} cannot be used: {str(error).partition(chr(10))[0]}",
            facts={"field": "RUNFOLD_FILES", "size": address[:200]},
        ) from error


def _temporary() -> FileStore:
    from runfold_services.files.local import LocalFiles

    folder = Path(tempfile.mkdtemp(prefix="runfold-files-"))
    files = LocalFiles(folder)
    weakref.finalize(files, _remove_own, folder, os.getpid())
    return files


def _remove_own(folder: Path, process: int) -> None:
    """Remove what this process made; a fork's child leaves it to its parent."""
    if os.getpid() == process:
        shutil.rmtree(folder, ignore_errors=True)
