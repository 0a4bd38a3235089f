"""A process that logs until it is killed: started by ``tests.support.spool_story``.

    python -m tests.chaos.spool_worker RUN JOURNAL VALUES_PER_S SEED WIRE FILE_BYTES_MAX

It goes on counting where the life before it stopped. Every number is written into JOURNAL, by one write that the
kernel keeps, after ``log()`` returned. WIRE ``lossy``: some answers of the server are lost. ``unnumbered``: the same,
and every attempt goes out under a new writer, as by a client without writer numbers. FILE_BYTES_MAX: as if the disk
were full for larger files; 0 for none. A worker whose own JOURNAL has that size logs nothing any more: it could not say
so.
"""

from __future__ import annotations

import os
import random
import resource
import signal
import struct
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from uuid import UUID, uuid4

from runfold import Experiment, Workspace
from runfold._http import HttpTransport
from runfold._kafka import KafkaLog
from runfold._transport import Answer, Batch, Item, Place
from runfold_events.contract.errors import Unavailable
from runfold_events.fates import Fate

METRIC: Final = "n"
LOST_SHARE: Final = 0.4
COUNT: Final = struct.Struct("<Qq")  # a number, and how long its log() took in ns


def main() -> int:
    run_id, journal, rate, seed, wire, file_bytes_max = sys.argv[1:]
    if int(file_bytes_max):
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(file_bytes_max), int(file_bytes_max)))
    if wire != "plain":
        _make_lossy(random.Random(int(seed)), is_numbered=wire == "lossy")
        _make_log_lossy(random.Random(int(seed)), is_numbered=wire == "lossy")
    experiment = Experiment(Workspace(workspace_name="default"), "spools")
    run = experiment.start_logging(run_id=run_id, resume=True)
    pause_s = 0.01
    numbers = max(1, int(float(rate) * pause_s))
    number_bytes = numbers * COUNT.size
    # A number that was logged, and not written down when the kill came, is left out: so none is ever used twice.
    number = _last(Path(journal)) + 2
    with Path(journal).open("ab", buffering=0) as file:
        while True:
            if int(file_bytes_max) and file.tell() + number_bytes > int(file_bytes_max):
                signal.pause()
            for _ in range(numbers):
                began = time.perf_counter_ns()
                run.log(METRIC, number, step=number)
                file.write(COUNT.pack(number, time.perf_counter_ns() - began))
                number += 1
            time.sleep(pause_s)


def _last(journal: Path) -> int:
    if not journal.exists() or journal.stat().st_size < COUNT.size:
        return 0
    with journal.open("rb") as file:
        file.seek((journal.stat().st_size // COUNT.size - 1) * COUNT.size)
        return int(COUNT.unpack(file.read(COUNT.size))[0])


def _make_log_lossy(chance: random.Random, *, is_numbered: bool) -> None:
    """The same for values that go by Kafka: words of the broker and of the ledger are lost."""
    post, fates = KafkaLog.post, KafkaLog.fates
    sent: dict[UUID, Batch] = {}  # under which writer it really went

    def lossy_post(self: KafkaLog, batch: Batch) -> list[Place]:
        sent[batch.writer_id] = batch if is_numbered else _as_another_writer(batch)
        places = post(self, sent[batch.writer_id])
        if chance.random() < LOST_SHARE:
            raise Unavailable("the broker's word was lost")
        return places

    def lossy_fates(self: KafkaLog, batch: Batch, places: Sequence[Place]) -> list[Fate]:
        told = fates(self, sent[batch.writer_id], places)
        if chance.random() < LOST_SHARE:
            raise Unavailable("the ledger's word was lost")
        return told

    KafkaLog.post = lossy_post  # type: ignore[method-assign]
    KafkaLog.fates = lossy_fates  # type: ignore[method-assign]


def _as_another_writer(batch: Batch) -> Batch:
    seqs: dict[str, int] = {}
    items: list[Item] = []
    for item in batch.items:
        stream = getattr(item.command, "run_id", "")
        seqs[stream] = seqs.get(stream, 0) + 1
        items.append(Item(item.command, seqs[stream], item.occurred_at, item.correlation_id))
    return Batch(workspace=batch.workspace, writer_id=uuid4(), items=items)


def _make_lossy(chance: random.Random, *, is_numbered: bool) -> None:
    submit = HttpTransport.submit

    def lossy(self: HttpTransport, batch: Batch) -> Answer:
        if not is_numbered:
            batch = _as_another_writer(batch)
        answer = submit(self, batch)
        if chance.random() < LOST_SHARE:
            raise Unavailable("the answer was lost")
        return answer

    HttpTransport.submit = lossy  # type: ignore[method-assign]


if __name__ == "__main__":
    os.environ.setdefault("RUNFOLD_SPOOL_MIB", "64")
    sys.exit(main())
