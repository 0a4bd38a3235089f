"""Names under which things are kept: safe on every file system and in every object store, whatever they stand for.

Paths and ids of users never become names of files: those differ in what they allow, how long they may be, and whether
``A`` and ``a`` are one. Digests stand for them.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final
from uuid import uuid4

_SHA256_HEX: Final = re.compile(r"[0-9a-f]{64}\Z")


def workspace_folder(workspace: str) -> str:
    """A folder of the workspace alone, also where upper and lower case are one."""
    return f"{workspace.lower()}.{digest_of(workspace)[:8]}"


def content_name(sha256: str) -> str:
    """``ab/abcd…``: not all in one folder, which some file systems take badly."""
    if not _SHA256_HEX.match(sha256):
        raise ValueError(f"no SHA-256 in hex: {sha256[:80]!r}")
    return f"{sha256[:2]}/{sha256}"


def aside_name(sha256: str) -> str:
    """A name for a content that is set aside, which nobody else has."""
    return f"{sha256}.{uuid4().hex}"


def aside_digest(name: str) -> str:
    """The content's SHA-256 from such a name."""
    return name.partition(".")[0]


def digest_of(text: str) -> str:
    """A name of 32 hex digits that stands for ``text``."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]
