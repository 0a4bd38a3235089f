"""A log of commands whose effects can be told apart, and the check that each took effect once, in order.

The check reads the topic and the events table; it knows nothing of cursors, doors or deciders.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import asyncpg
import msgspec

from runfold_events.contract import commands as c
from runfold_events.contract.cloudevents import Record, command_record
from tests.integration.kafka.scene import Scene

GARBAGE: Final = b"garbage"
GARBAGE_EVERY: Final = 7

Effect = tuple[str, str]


class LogWriter:
    """Writes commands of a few runs of one partition into its log; every seventh record is garbage."""

    def __init__(self, scene: Scene, partition: int, writer: UUID, runs: int = 3) -> None:
        self.partition = partition
        self._scene = scene
        self._writer = writer
        names = (scene.run_id_in(partition, f"{letter}-") for letter in "abcdefgh")
        self.run_ids = [next(names) for _ in range(runs)]
        self._count = 0
        self._numbers = dict.fromkeys(self.run_ids, 1)  # 1 is the creation, by the other door

    async def prepare(self) -> None:
        """Create the runs."""
        await self._scene.create_runs(self._writer, *self.run_ids)

    def records(self, count: int) -> list[Record]:
        """The next records."""
        return [self._record() for _ in range(count)]

    def _record(self) -> Record:
        self._count += 1
        if self._count % GARBAGE_EVERY == 0:
            return Record(b"whatever", GARBAGE + b"%d" % self._count, ())
        run_id = self.run_ids[self._count % len(self.run_ids)]
        self._numbers[run_id] += 1
        command = c.SetTags(run_id=run_id, tags={"n": str(self._count)})
        return command_record(self._scene.submission(command, self._writer, self._numbers[run_id]))

    async def send(self, count: int) -> None:
        """Put the next records into the topic."""
        await self._scene.send_raw(self._scene.settings.commands_topic, self.partition, self.records(count))


async def expected(scene: Scene, partition: int) -> list[Effect]:
    """What the topic's records must give, in their order."""
    records = await scene.read_topic(scene.settings.commands_topic, partition)
    return [_effect_of(record.value or b"") for record in records]


def _effect_of(value: bytes) -> Effect:
    if value.startswith(GARBAGE):
        return "garbage", value.decode()
    return "tag", msgspec.json.decode(value)["tags"]["n"]


async def found(scene: Scene, partition: int) -> list[Effect]:
    """What the events table says was done, in order of position; fails when positions are not dense."""
    connection = await asyncpg.connect(scene.dsn)
    try:
        rows = await connection.fetch(
            "SELECT pos, type, body FROM runfold.events WHERE partition = $1 ORDER BY pos", partition
        )
    finally:
        await connection.close()
    assert [row["pos"] for row in rows] == list(range(len(rows))), "positions are not dense"
    effects: list[Effect] = []
    for row in rows:
        body = msgspec.json.decode(row["body"])
        if row["type"] == "run.tags_set":
            effects.append(("tag", body["tags"]["n"]))
        elif row["type"] == "command.unreadable":
            effects.append(
                ("garbage", msgspec.json.decode(msgspec.json.encode(body["value"]), type=bytes).decode())
            )
    return effects


async def damage(scene: Scene, partition: int) -> list[str]:
    """What is wrong with a partition, in words; nothing is what a test wants."""
    return compare(await expected(scene, partition), await found(scene, partition))


def compare(wanted: Sequence[Effect], had: Sequence[Effect]) -> list[str]:
    """Differences between what a log must give and what was found."""
    wrong = [
        f"{effect} took effect {had.count(effect)} times" for effect in set(had) if had.count(effect) > 1
    ]
    wrong += [f"{effect} is missing" for effect in set(wanted) - set(had)]
    wrong += [f"{effect} came from nowhere" for effect in set(had) - set(wanted)]
    if not wrong and list(wanted) != list(had):
        wrong.append("the order is not that of the log")
    return wrong
