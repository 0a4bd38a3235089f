"""What stays of spools that are gone: what was refused for good, and receipts of what was delivered. Bounded."""

from __future__ import annotations

import logging
import os
import time
from binascii import b2a_base64
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import msgspec
from msgspec import Struct

from runfold._spool_bodies import encode
from runfold._streams import Pending, Stream
from runfold_events.contract.commands import command_type
from runfold_events.contract.errors import RunfoldError

REFUSED: Final = "refused.jsonl"
RECEIPTS: Final = "receipts.jsonl"
REFUSED_BYTES_MAX: Final = 64 * 1024 * 1024  # and as much again of older ones
RECEIPTS_BYTES_MAX: Final = 4 * 1024 * 1024  # some 20,000 receipts, and as many older ones
_OLDER: Final = ".older"
_log = logging.getLogger("runfold")


class RefusedEntry(Struct, frozen=True, kw_only=True):
    """One command that will never be accepted, with the reason and its bytes."""

    at: float  # s since the epoch
    workspace: str
    run_id: str | None
    writer_id: UUID
    command: str
    code: str
    message: str
    facts: dict[str, Any] = {}
    values: int = 0
    body: str = ""  # the command in msgpack, as base64


class Receipt(Struct, frozen=True, kw_only=True):
    """A writer's last number on a run: everything up to it was answered."""

    at: float
    workspace: str
    run_id: str
    writer_id: UUID
    highest: int


def keep_refused(folder: Path | None, pending: Pending, error: RunfoldError) -> None:
    """Keep a refused command aside. A disk that takes nothing is told of, and not more."""
    stream, command = pending.stream, pending.command
    if folder is None or stream is None or command is None:
        return
    entry = RefusedEntry(
        at=time.time(),
        workspace=stream.workspace,
        run_id=stream.run_id,
        writer_id=stream.writer_id,
        command=command_type(command),
        code=error.code,
        message=error.message,
        facts=error.facts,
        values=pending.values,
        body=b2a_base64(encode(command), newline=False).decode(),
    )
    _append(folder / REFUSED, [entry], REFUSED_BYTES_MAX)


def keep_receipts(folder: Path | None, streams: Iterable[Stream]) -> None:
    """Keep how far a writer came, which ends here, on every run that it wrote to."""
    if folder is None:
        return
    receipts = [
        Receipt(
            at=time.time(),
            workspace=stream.workspace,
            run_id=stream.run_id,
            writer_id=stream.writer_id,
            highest=stream.next_seq - 1,
        )
        for stream in streams
        if stream.run_id is not None and stream.next_seq > 1
    ]
    if receipts:
        _append(folder / RECEIPTS, receipts, RECEIPTS_BYTES_MAX)


def read_receipts(folder: Path) -> Iterator[Receipt]:
    """Receipts that are left, the oldest first."""
    yield from _read(folder / RECEIPTS, Receipt)


def read_refused(folder: Path) -> Iterator[RefusedEntry]:
    """Refused commands that are left, the oldest first."""
    yield from _read(folder / REFUSED, RefusedEntry)


def _append(path: Path, entries: Iterable[Struct], bytes_max: int) -> None:
    """Lines go in by one write, so those of several processes do not mix."""
    lines = b"".join(msgspec.json.encode(entry, enc_hook=str) + b"\n" for entry in entries)
    try:
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.write(file, lines)
            is_long = os.fstat(file).st_size > bytes_max
        finally:
            os.close(file)
        if is_long:
            path.replace(path.with_name(path.name + _OLDER))
    except OSError as error:
        _log.warning("runfold: %s cannot be written: %s", path, error.strerror or error)


def _read(path: Path, kind: type[Any]) -> Iterator[Any]:
    for part in (path.with_name(path.name + _OLDER), path):
        try:
            lines = part.read_bytes().splitlines()
        except OSError:
            continue
        for line in lines:
            try:
                yield msgspec.json.decode(line, type=kind)
            except msgspec.MsgspecError:  # cut by a full disk
                continue
