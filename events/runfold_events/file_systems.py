"""What lies on which file system. SQLite's write-ahead log needs shared memory and honest locks, which network file
systems do not give; the SDK's spool asks as well."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from runfold_events.contract.errors import Invalid

MOUNTINFO: Final = Path("/proc/self/mountinfo")  # Linux; elsewhere mount(8) is asked
MOUNT_COMMAND_TIMEOUT_S: Final = 5.0

# Clustered and remote file systems, as the kernel or mount(8) names them; the second set follows "fuse.".
# fmt: off
NETWORK_TYPES: Final = frozenset({
    "afpfs", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "davfs2", "gfs2", "glusterfs", "gpfs", "lustre",
    "macfuse", "ncpfs", "nfs", "nfs3", "nfs4", "ocfs2", "orangefs", "osxfuse", "panfs", "pvfs2", "smb", "smb2", "smb3",
    "smbfs", "webdav",
})
NETWORK_FUSE_TYPES: Final = frozenset({
    "blobfuse", "blobfuse2", "ceph", "ceph-fuse", "curlftpfs", "davfs", "davfs2", "gcsfuse", "glusterfs", "goofys",
    "httpfs", "juicefs", "lustre", "mfs", "moosefs", "mount-s3", "rclone", "s3fs", "sshfs",
})
# fmt: on
_BSD_MOUNT_LINE: Final = re.compile(r"^.+? on (?P<point>/.*) \((?P<type>[\w.\-]+)[,)]")


def refuse_network_file_system(path: Path) -> None:
    """Raise :class:`Invalid` when ``path`` lies on a network file system; where that cannot be told, go on."""
    kind = file_system_type_of(path)
    if kind is not None and is_network(kind):
        raise Invalid(
            f"{path} is on a network file system ({kind}), where SQLite can lose data. "
            "Set RUNFOLD_HOME to a folder on a local disk, or use a runfold server (RUNFOLD_URL).",
            facts={"field": "RUNFOLD_HOME", "limit": "a local file system", "size": kind, "path": str(path)},
        )


def file_system_type_of(path: Path) -> str | None:
    """The type of the file system that ``path`` lies on, where that can be told."""
    return file_system_type(path.resolve(), _mounts())


def is_network(kind: str) -> bool:
    """True for a type such as ``nfs4`` or ``fuse.sshfs``."""
    family, _, inner = kind.lower().partition(".")
    return family in NETWORK_TYPES or (family == "fuse" and inner in NETWORK_FUSE_TYPES)


def file_system_type(path: Path, mounts: list[tuple[str, str]]) -> str | None:
    """The type of the mount that ``path`` lies on: the longest mount point above it; of equals the last mounted."""
    best: tuple[int, str | None] = (-1, None)
    for point, kind in mounts:
        if path.is_relative_to(point) and len(point) >= best[0]:
            best = (len(point), kind)
    return best[1]


def parse_mountinfo(text: str) -> list[tuple[str, str]]:
    """``(mount point, type)`` of each line of Linux's ``/proc/self/mountinfo``."""
    mounts: list[tuple[str, str]] = []
    for line in text.splitlines():
        fields, separator, rest = line.partition(" - ")
        parts = fields.split()
        if separator and len(parts) >= 5 and rest:
            mounts.append((_unescape(parts[4]), rest.split()[0]))
    return mounts


def parse_mount_output(text: str) -> list[tuple[str, str]]:
    """``(mount point, type)`` of each line that ``mount`` prints on macOS and the BSDs."""
    matches = (_BSD_MOUNT_LINE.match(line) for line in text.splitlines())
    return [(match["point"], match["type"]) for match in matches if match]


def _unescape(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)


def _mounts() -> list[tuple[str, str]]:
    import subprocess  # only where there is no /proc

    try:
        if MOUNTINFO.exists():
            return parse_mountinfo(MOUNTINFO.read_text("utf-8", errors="surrogateescape"))
        done = subprocess.run(
            ["/sbin/mount"], capture_output=True, text=True, timeout=MOUNT_COMMAND_TIMEOUT_S, check=False
        )
        return parse_mount_output(done.stdout)
    except (OSError, subprocess.SubprocessError):
        return []
