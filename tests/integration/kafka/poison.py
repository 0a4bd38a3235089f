"""Records that nobody can handle, of every kind that we could think of."""

from __future__ import annotations

from uuid import UUID

from runfold_events.contract import commands as c
from runfold_events.contract import limits
from runfold_events.contract.cloudevents import Record, command_record
from tests.integration.kafka.scene import Scene


def forged(record: Record, **headers: bytes | None) -> Record:
    """``record`` with other headers; None takes one away."""
    given = {**dict(record.headers), **{name.replace("__", "-"): value for name, value in headers.items()}}
    return Record(record.key, record.value, tuple((n, v) for n, v in given.items() if v is not None))


def poison(scene: Scene, writer: UUID) -> dict[str, tuple[Record, str]]:
    """Records for partition 0 that must be kept as unreadable, and why."""
    good = command_record(scene.submission(c.SetTags(run_id="r", tags={"a": "b"}), writer, 900))
    other = scene.run_id_in(1, "elsewhere")
    misplaced = command_record(scene.submission(c.SetTags(run_id=other, tags={"a": "b"}), writer, 900))
    big = b"x" * (limits.COMMAND_BYTES_MAX + 1)
    named = "dev.runfold.run.set_tags.v1"
    return {
        "garbage": (Record(b"\x00\xff", b"\xff\x00{", ()), "invalid"),
        "nothing": (Record(b"", b"", ()), "invalid"),
        "value is no JSON": (Record(good.key, b"{", good.headers), "invalid"),
        "value of another type": (
            Record(good.key, b'{"type":"run.complete","run_id":"r"}', good.headers),
            "invalid",
        ),
        "unknown type": (forged(good, ce_type=b"dev.runfold.run.explode.v1"), "invalid"),
        "future version": (forged(good, ce_type=named.replace("v1", "v2").encode()), "invalid"),
        "not ours": (forged(good, ce_type=b"com.example.thing"), "invalid"),
        "wrong partition": (misplaced, "invalid"),
        "wrong key": (Record(b"w/run/another", good.value, good.headers), "invalid"),
        "wrong workspace": (forged(good, ce_source=b"/workspaces/x"), "invalid"),
        "no writer": (forged(good, ce_writerid=None), "invalid"),
        "writer is no UUID": (forged(good, ce_writerid=b"'; DROP TABLE"), "invalid"),
        "number 0": (forged(good, ce_writerseq=b"0"), "invalid"),
        "number without end": (forged(good, ce_writerseq=b"9" * 20), "invalid"),
        "time from nowhere": (forged(good, ce_time=b"yesterday"), "invalid"),
        "header is no UTF-8": (forged(good, ce_subject=b"\xff\xfe"), "invalid"),
        "reply to our own topic": (forged(good, reply_to=scene.settings.events_topic.encode()), "invalid"),
        "internal command": (
            Record(
                good.key,
                b'{"type":"run.mark_lost","run_id":"r"}',
                forged(good, ce_type=b"dev.runfold.run.mark_lost.v1").headers,
            ),
            "invalid",
        ),
        "NUL in the text": (forged(good, traceparent=b"a\x00b"), "invalid"),
        "unknown run": (
            command_record(
                scene.submission(c.SetTags(run_id=scene.run_id_in(0, "none"), tags={}), writer, 1)
            ),
            "not_found",
        ),
        "oversize": (Record(good.key, big, good.headers), "limit_exceeded"),
        "deep": (Record(good.key, b"[" * 100_000, good.headers), "invalid"),
    }
