"""Where spools are kept, by what the environment says."""

from __future__ import annotations

import re
from hashlib import sha256
from pathlib import Path
from typing import Final

from runfold._settings import Settings
from runfold._spool import Place

FOLDER: Final = "spool"
_NAME_CHARS_MAX: Final = 60
_DIGEST_CHARS: Final = 12


def place_of(url: str | None, home: Path, settings: Settings) -> Place:
    """Where a process keeps what is for a server, or for the embedded ledger of ``home``.

    What is for an embedded ledger lies beside it, so that they are moved, copied and found together.
    """
    return Place(
        folder=_folder(url, home, settings),
        target=str(home) if url is None else url,
        bytes_max=settings.spool_mib * 1024 * 1024,
        syncs=settings.spool_sync,
    )


def _folder(url: str | None, home: Path, settings: Settings) -> Path | None:
    if settings.spool == "off":
        return None
    if url is None:
        return home / FOLDER if settings.spool is None else settings.spool / _name_of(str(home))
    return server_spools(settings) / _name_of(url)


def server_spools(settings: Settings) -> Path:
    """The folder with one folder for each server."""
    if isinstance(settings.spool, Path):
        return settings.spool
    import platformdirs  # 10 ms that a program with a folder of its own need not spend

    return Path(platformdirs.user_state_dir("runfold", appauthor=False)) / FOLDER


def _name_of(target: str) -> str:
    """Readable, and different for each target."""
    readable = re.sub(r"[^A-Za-z0-9.-]+", "-", target.partition("://")[2] or target).strip("-.")
    return f"{readable[-_NAME_CHARS_MAX:]}-{sha256(target.encode()).hexdigest()[:_DIGEST_CHARS]}"
