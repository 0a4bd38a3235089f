"""One role as a process of its own: ``python -m tests.support.distributed.role decider --postgres DSN …``.

What ``runfold serve`` starts, with shorter leases than a server would want, and with what only a test may do: believe
to be alone (``--alone``: no group, no lease), and be careless about what protects from rivals (``--careless``).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final
from uuid import UUID, uuid4

from msgspec.structs import replace

from runfold_events.buses.kafka import (
    Cluster,
    Group,
    KafkaCommandSource,
    KafkaEventSink,
    KafkaReplyTopics,
)
from runfold_events.contract.errors import Unavailable
from runfold_events.ids_source import SystemIds
from runfold_events.ledger import Ledger
from runfold_events.log_door import Handled, LogDoor, LogRecord
from runfold_events.stores.postgres import PostgresStore
from runfold_events.stores.postgres.transactions import PostgresTransaction
from runfold_projections.projection import Move, ViewSession
from runfold_projections.stores.postgres import PostgresViewStore
from runfold_projections.stores.postgres.session import PostgresSession
from runfold_projections.views import all_projections
from runfold_services.compose.postgres import open_server
from runfold_services.decider import Decider
from runfold_services.kafka_settings import KafkaSettings, kafka_settings_from_environment
from runfold_services.postgres_settings import PostgresSettings
from runfold_services.projector import Projector, ProjectorSettings
from runfold_services.relay import Relay, RelaySettings
from runfold_services.replies import Replies
from runfold_services.server import serve_on_loop
from runfold_services.settings import ServerSettings

RETRY_S: Final = 0.3
CURSOR: Final = "cursor"  # handle records wherever the cursor stands
CHECKPOINT: Final = "checkpoint"  # fold events wherever the checkpoint stands


# ── carelessness ──────────────────────────────────────────────────────────────────────────────────────────


class CarelessStore(PostgresStore):
    """Shows the cursor where its own decider believes it to be."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.believed: dict[int, int] = {}

    @asynccontextmanager
    async def transaction(self, partition: int) -> AsyncGenerator[PostgresTransaction]:
        async with super().transaction(partition) as transaction:
            row = transaction.row
            row = replace(row, next_offset=self.believed.get(partition, row.next_offset))
            yield PostgresTransaction(transaction._connection, row)  # pyright: ignore[reportPrivateUsage]  # the control's point


class CarelessDoor(LogDoor):
    """Believes that nobody else moves the cursor."""

    def __init__(self, store: CarelessStore, settings: KafkaSettings) -> None:
        super().__init__(Ledger(store, SystemIds()), settings.actor_of, uuid4())
        self._careless = store

    async def handle(self, records: Sequence[LogRecord], from_offset: int) -> Handled:
        self._careless.believed[records[0].partition] = from_offset
        return await super().handle(records, from_offset)


class CarelessViewStore(PostgresViewStore):
    """Moves checkpoints without a look at where they stand."""

    @asynccontextmanager
    async def transaction(self, *, alone: bool = False) -> AsyncGenerator[ViewSession]:
        async with super().transaction(alone=alone) as session:
            assert isinstance(session, PostgresSession)
            yield _CarelessSession(session._connection)  # pyright: ignore[reportPrivateUsage]  # the control's point


class _CarelessSession(PostgresSession):
    async def advance(self, moves: Sequence[Move]) -> bool:
        for move in moves:
            checkpoint = move.checkpoint
            await self._connection.execute(
                "UPDATE view_checkpoints SET pos = greatest(pos, $5) "
                "WHERE projection = $1 AND version = $2 AND generation = $3 AND partition = $4",
                checkpoint.generation.projection,
                checkpoint.generation.version,
                checkpoint.generation.number,
                checkpoint.partition,
                move.pos,
            )
        return True


class Everything:
    """All partitions are this process's, whatever others believe."""

    def __init__(self, partitions: int) -> None:
        self._all = frozenset(range(partitions))

    async def share_partitions(self, role: str, member: UUID, lease_us: int) -> frozenset[int]:
        return self._all

    async def leave_role(self, role: str, member: UUID) -> None:
        return


# ── roles ─────────────────────────────────────────────────────────────────────────────────────────────────


async def decide(options: argparse.Namespace, opened: AsyncExitStack) -> Callable[[], Awaitable[None]]:
    kind = CarelessStore if options.careless == CURSOR else PostgresStore
    store = await kind.open(options.postgres)
    opened.push_async_callback(store.close)
    settings = settings_of(options)
    cluster = Cluster(bootstrap_servers=options.kafka)
    group = Group(
        name=settings.group,
        session_timeout_s=options.lease_s,
        heartbeat_interval_s=options.lease_s / 6,
    )
    source = KafkaCommandSource(
        cluster, settings.commands_topic, store.partitions, None if options.alone else group
    )
    if isinstance(store, CarelessStore):
        door: LogDoor = CarelessDoor(store, settings)
    else:
        door = LogDoor(Ledger(store, SystemIds()), settings.actor_of, uuid4())
    decider = Decider(source, store, door, Replies(KafkaReplyTopics(cluster)))
    await decider.start()
    return decider.stop


async def relay(options: argparse.Namespace, opened: AsyncExitStack) -> Callable[[], Awaitable[None]]:
    store = await PostgresStore.open(options.postgres)
    opened.push_async_callback(store.close)
    cluster = Cluster(bootstrap_servers=options.kafka)
    sink = KafkaEventSink(cluster, settings_of(options).events_topic, store.partitions)
    role = Relay(store, sink, RelaySettings(lease_s=options.lease_s))
    await role.start()
    return role.stop


async def project(options: argparse.Namespace, opened: AsyncExitStack) -> Callable[[], Awaitable[None]]:
    store = await PostgresStore.open(options.postgres)
    opened.push_async_callback(store.close)
    kind = CarelessViewStore if options.careless == CHECKPOINT else PostgresViewStore
    views = await kind.open(options.postgres)
    opened.push_async_callback(views.close)
    share = Everything(store.partitions) if options.alone else store
    projector = Projector(store, views, all_projections(), share, ProjectorSettings(lease_s=options.lease_s))
    await projector.start()
    return projector.stop


ROLES: Final = {"decider": decide, "relay": relay, "projector": project}


def settings_of(options: argparse.Namespace) -> KafkaSettings:
    settings = kafka_settings_from_environment({**os.environ, "RUNFOLD_KAFKA": options.kafka})
    assert settings is not None
    return settings


async def serve(options: argparse.Namespace) -> None:
    """Start, say so, and wait for SIGTERM."""
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    async with AsyncExitStack() as opened:
        stop = await _started(options, opened)
        print(f"runfold {options.role} ready", flush=True)
        await told.wait()
        await stop()


async def _started(options: argparse.Namespace, opened: AsyncExitStack) -> Callable[[], Awaitable[None]]:
    while True:
        try:
            return await ROLES[options.role](options, opened)
        except Unavailable as error:
            print(f"waiting: {error.message}", flush=True)
            await asyncio.sleep(RETRY_S)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("role", choices=("api", *ROLES))
    parser.add_argument("--postgres", required=True)
    parser.add_argument("--kafka", required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--lease-s", type=float, default=3.0)
    parser.add_argument("--alone", action="store_true")
    parser.add_argument("--careless", choices=(CURSOR, CHECKPOINT))
    options = parser.parse_args()
    if options.role == "api":
        settings = ServerSettings(port=options.port, log_level="warning")
        serve_on_loop(lambda: open_server(PostgresSettings(dsn=options.postgres)), settings)
    else:
        asyncio.run(serve(options))


if __name__ == "__main__":
    main()
