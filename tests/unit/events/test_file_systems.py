"""Network file systems are refused, local ones are not."""

from __future__ import annotations

from pathlib import Path

import pytest

from runfold_events import file_systems as filesystem
from runfold_events.contract.errors import Invalid
from runfold_events.file_systems import (
    file_system_type,
    is_network,
    parse_mount_output,
    parse_mountinfo,
)
from runfold_events.stores.sqlite import SqliteStore

MOUNTINFO = r"""22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
36 22 0:31 / /data rw,noatime shared:2 master:1 - nfs4 server:/export rw,vers=4.2
37 36 0:32 / /data/local rw - xfs /dev/vdb rw
38 22 0:33 / /mnt/with\040space rw - fuse.sshfs me@host:/ rw
39 22 0:34 / /over rw - tmpfs tmpfs rw
40 39 0:35 / /over rw - cifs //server/share rw
not a line
"""
BSD = """/dev/disk3s1s1 on / (apfs, sealed, local, read-only, journaled)
//me@server/share on /Volumes/my share (smbfs, nodev, nosuid, mounted by me)
server:/export on /Volumes/nfs (nfs)
map auto_home on /System/Volumes/Data/home (autofs, automounted, nobrowse)
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/etc", "ext4"),
        ("/data/x/y", "nfs4"),
        ("/database", "ext4"),
        ("/data/local/x", "xfs"),
        ("/mnt/with space/x", "fuse.sshfs"),
        ("/over/x", "cifs"),
    ],
)
def test_the_innermost_mount_counts(path: str, kind: str) -> None:
    assert file_system_type(Path(path), parse_mountinfo(MOUNTINFO)) == kind


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/Applications", "apfs"), ("/Volumes/my share/x", "smbfs"), ("/Volumes/nfs", "nfs")],
)
def test_mounts_as_macos_prints_them(path: str, kind: str) -> None:
    assert file_system_type(Path(path), parse_mount_output(BSD)) == kind


def test_without_mounts_nothing_is_known() -> None:
    assert file_system_type(Path("/x"), []) is None


@pytest.mark.parametrize(
    "kind", ["nfs", "NFS4", "cifs", "smb3", "fuse.sshfs", "fuse.juicefs", "ceph", "lustre"]
)
def test_network_types(kind: str) -> None:
    assert is_network(kind)


@pytest.mark.parametrize(
    "kind", ["ext4", "xfs", "btrfs", "apfs", "tmpfs", "overlay", "fuse.fuse-overlayfs", "zfs"]
)
def test_local_types(kind: str) -> None:
    assert not is_network(kind)


def test_a_store_on_a_network_file_system_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mountinfo = tmp_path / "mountinfo"
    mountinfo.write_text(f"36 22 0:31 / {tmp_path.resolve()} rw - nfs4 server:/export rw\n")
    monkeypatch.setattr(filesystem, "MOUNTINFO", mountinfo)
    ledger = tmp_path / "home" / "ledger.db"

    with pytest.raises(Invalid) as caught:
        SqliteStore.open(ledger)
    assert str(ledger.parent) in caught.value.message
    assert "RUNFOLD_HOME" in caught.value.message
    assert caught.value.size == "nfs4"
    assert not ledger.exists()
