"""The file store in a folder passes its contract suite."""

from __future__ import annotations

from pathlib import Path

from runfold_services.compose.files import open_files
from runfold_services.files.port import FileStore
from runfold_services.testing.files_contract import FileStoreContract


class TestFilesInAFolder(FileStoreContract):
    """``RUNFOLD_FILES`` not set, or a folder."""

    def open_store(self, place: Path) -> FileStore:
        return open_files(str(place / "files"), None)
