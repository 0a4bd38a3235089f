"""Run as a script by root: become another user, then become the command. Postgres refuses to run as root.

    python unprivileged.py USER FOLDER COMMAND [ARGUMENT…]

That user may be unable to enter the folders above FOLDER or COMMAND (such as root's own). Then, and on Linux only, the
command keeps one of root's capabilities, ``CAP_DAC_OVERRIDE``: files open themselves to it as they do to root. Modes of
folders that others made are never changed.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import struct
import sys
from pathlib import Path
from typing import Final

# linux/capability.h, linux/prctl.h, linux/securebits.h
_CAP_DAC_OVERRIDE: Final = 1
_CAPABILITY_VERSION_3: Final = 0x2008_0522
_PR_SET_SECUREBITS: Final = 28
_PR_CAP_AMBIENT: Final = 47
_PR_CAP_AMBIENT_RAISE: Final = 2
_SECBIT_NO_SETUID_FIXUP: Final = 1 << 2


def main(user: str, folder: str, command: list[str]) -> None:
    entry = pwd.getpwnam(user)
    needed = [folder, command[0]]
    if _may_enter(entry, needed):
        _become(entry)
    else:
        try:
            _become_with_open_doors(entry)
        except (
            AttributeError,
            OSError,
        ) as error:  # not Linux, or a container that has not all of root's rights
            sys.exit(
                f"ERROR: Postgres does not run as root, and the user {user} may not enter {' or '.join(needed)} "
                f"({error}): start the stack as an ordinary user, or with RUNFOLD_HOME (and runfold itself) where "
                "everybody may enter"
            )
    os.execv(command[0], command)


def _may_enter(entry: pwd.struct_passwd, paths: list[str]) -> bool:
    os.setegid(entry.pw_gid)
    os.seteuid(entry.pw_uid)
    try:
        for path in paths:
            Path(path).stat()
        return True
    except PermissionError:
        return False
    finally:
        os.seteuid(0)
        os.setegid(0)


def _become(entry: pwd.struct_passwd) -> None:
    os.setgroups([])
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)


def _become_with_open_doors(entry: pwd.struct_passwd) -> None:
    # Without this bit the change of user drops every capability, and access(2), by which Postgres asks whether it may
    # run its own files, does not count those that are left.
    _prctl(_PR_SET_SECUREBITS, _SECBIT_NO_SETUID_FIXUP)
    _become(entry)
    _keep_only(_CAP_DAC_OVERRIDE)


def _keep_only(capability: int) -> None:
    bits = 1 << capability
    header = struct.pack("<Ii", _CAPABILITY_VERSION_3, 0)
    data = struct.pack(
        "<6I", bits, bits, bits, 0, 0, 0
    )  # effective, permitted, inheritable: low words, high words
    if ctypes.CDLL(None, use_errno=True).capset(header, data):
        raise OSError(ctypes.get_errno(), "capset")
    _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, capability)  # so that it outlives the change of program


def _prctl(option: int, *arguments: int) -> None:
    padded = [ctypes.c_ulong(argument) for argument in (*arguments, 0, 0, 0, 0)[:4]]
    if ctypes.CDLL(None, use_errno=True).prctl(option, *padded):
        raise OSError(ctypes.get_errno(), f"prctl {option}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
