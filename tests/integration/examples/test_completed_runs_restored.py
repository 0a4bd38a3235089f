"""The store is restored to before what a team's service has seen: the service takes back what is void."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final
from uuid import uuid4

import asyncpg
import pytest

from runfold_events.contract import commands as c
from runfold_events.ids_source import SystemIds
from runfold_events.ledger import Ledger
from runfold_projections.stores.postgres import create_views_schema
from runfold_services.compose.postgres import open_server
from runfold_services.postgres_settings import PostgresSettings
from runfold_services.server import server_on_loop
from runfold_services.settings import ServerSettings
from tests.integration.examples.world import FOLLOW, completed
from tests.integration.kafka.restoring import new_epoch, set_back
from tests.integration.kafka.scene import Scene, until, with_scene
from tests.support.postgres_store import SERVICE_ROLE, as_service

pytestmark = pytest.mark.timeout(300)

WAIT_S: Final = 100.0


@asynccontextmanager
async def api_over(dsn: str) -> AsyncGenerator[str]:
    """The HTTP API over a store without views; its URL."""
    owner = await asyncpg.connect(dsn)
    try:
        await create_views_schema(owner, service_role=SERVICE_ROLE)
    finally:
        await owner.close()
    backend = await open_server(PostgresSettings(dsn=as_service(dsn)))
    server = server_on_loop(backend, ServerSettings(port=0))
    serving = asyncio.create_task(server.serve())
    try:
        yield server.url
    finally:
        server.stop()
        await serving


@asynccontextmanager
async def following(scene: Scene, api: str, database: Path) -> AsyncGenerator[None]:
    """The example service at work, in a group of its own."""
    words = ["--database", str(database), "--kafka", scene.kafka, "--api", api]
    topic = [
        "--events-topic",
        scene.settings.events_topic,
        "--group",
        f"{scene.settings.prefix}.{database.stem}",
    ]
    process = await asyncio.create_subprocess_exec(sys.executable, str(FOLLOW), *words, *topic)
    try:
        yield
    finally:
        process.terminate()
        assert await process.wait() == 0


async def complete(scene: Scene, *run_ids: str) -> None:
    """Runs that are created and completed, by the ledger."""
    writer = uuid4()
    await scene.create_runs(writer, *run_ids)
    await Ledger(scene.store, SystemIds()).handle(
        [scene.submission(c.CompleteRun(run_id=run_id), writer, 2) for run_id in run_ids]
    )


async def view_is(database: Path, *run_ids: str) -> None:
    """Wait until the view says that these runs are completed, and no others."""

    async def is_so() -> bool:
        return set(await asyncio.to_thread(completed, database)) == set(run_ids)

    await until(is_so, f"completed: {run_ids}", WAIT_S)


@with_scene(partitions=1)
async def test_what_the_store_no_longer_knows_is_taken_back(scene: Scene, tmp_path: Path) -> None:
    """Live; and by a service that was away meanwhile; and by one that only begins now."""
    live, away, late = (tmp_path / f"{name}.db" for name in ("live", "away", "late"))
    await complete(scene, "kept")
    kept = (await scene.store.ends())[0]
    async with api_over(scene.dsn) as api, following(scene, api, live):
        await complete(scene, "void")
        async with scene.relaying():
            await scene.published()
            await view_is(live, "kept", "void")
        async with following(scene, api, away):
            await view_is(away, "kept", "void")
        await set_back(scene, to_pos=kept)
        await new_epoch(scene)
        await complete(scene, "new")
        async with scene.relaying():
            await scene.published()
            await view_is(live, "kept", "new")
            async with following(scene, api, away):
                await view_is(away, "kept", "new")
            async with following(scene, api, late):
                await view_is(late, "kept", "new")
