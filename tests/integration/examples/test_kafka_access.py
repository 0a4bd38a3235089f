"""The access that the page for teams names suffices for every role, and what it leaves out is refused."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import pytest
from confluent_kafka.cimpl import NewTopic

from runfold_services.compose.kafka import open_decider, open_relay
from runfold_services.kafka_settings import KafkaSettings
from runfold_services.postgres_settings import PostgresSettings
from tests.integration.examples.guarded_kafka import WAIT_S, Access, Guarded, documented, guarded_kafka
from tests.integration.examples.test_completed_runs_restored import api_over, view_is
from tests.integration.examples.world import EVALUATE, FOLLOW
from tests.support.postgres_store import as_service, template
from tests.support.stack import StackForTest

pytestmark = pytest.mark.timeout(300)  # a broker of its own

PREFIX: Final = "runfold"
REPLIES: Final = "runfold.replies.nightly"
GROUP: Final = "completed-runs"
NAMES: Final = {
    "decider: topic `P.commands`": f"{PREFIX}.commands",
    "decider: group `P.deciders`": f"{PREFIX}.deciders",
    "decider: topics `runfold.replies.*` (prefixed)": "runfold.replies.",
    "relay: topic `P.events`": f"{PREFIX}.events",
    "follower: topic `P.events`": f"{PREFIX}.events",
    "follower: its own group": GROUP,
    "sender: topic `P.commands`": f"{PREFIX}.commands",
    "sender: its own topic `runfold.replies.…`": REPLIES,
}


def told(user: str) -> list[str]:
    """How an example says who it is."""
    said = {
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "PLAIN",
        "sasl.username": user,
        "sasl.password": f"{user}-secret",
    }
    return [word for name, value in said.items() for word in ("--set", f"{name}={value}")]


def settings(kafka: Guarded, user: str, *, makes_topics: bool = False) -> KafkaSettings:
    return KafkaSettings(
        bootstrap_servers=kafka.address,
        prefix=PREFIX,
        makes_topics=makes_topics,
        security_protocol="SASL_PLAINTEXT",
        sasl_username=user,
        sasl_password=f"{user}-secret",
    )


def make_topics(kafka: Guarded) -> None:
    """As the owner of the cluster does where runfold may not: with the settings that the page names."""
    both = {
        "cleanup.policy": "delete",
        "retention.ms": "604800000",
        "unclean.leader.election.enable": "false",
    }
    topics = [
        NewTopic(f"{PREFIX}.commands", 2, 1, config=both | {"max.message.bytes": "5308416"}),
        NewTopic(f"{PREFIX}.events", 2, 1, config=both | {"max.message.bytes": "8454144"}),
        NewTopic(REPLIES, 1, 1),
    ]
    for future in kafka.admin.create_topics(topics).values():
        future.result(WAIT_S)


@asynccontextmanager
async def roles(kafka: Guarded, postgres: PostgresSettings) -> AsyncGenerator[None]:
    async with (
        open_decider(postgres, settings(kafka, "decider")) as decider,
        open_relay(postgres, settings(kafka, "relay")) as relay,
    ):
        try:
            await decider.start()
            await relay.start()
            yield
        finally:
            await decider.stop()
            await relay.stop()


async def run(*words: object) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *(str(word) for word in words),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


async def evaluate(kafka: Guarded, folder: Path, model: str, *more: str) -> tuple[int, str]:
    predictions = folder / "predictions.csv"
    await asyncio.to_thread(predictions.write_text, "label,score\n1,0.9\n0,0.2\n", "utf-8")
    place = ["--kafka", kafka.address, "--reply-topic", REPLIES, *told("sender")]
    return await run(EVALUATE, predictions, "--model", model, "--night", "2026-01-31", *place, *more)


@asynccontextmanager
async def following(kafka: Guarded, api: str, database: Path) -> AsyncGenerator[None]:
    place = ["--kafka", kafka.address, "--group", GROUP, *told("follower"), "--api", api]
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(FOLLOW), "--database", str(database), *place
    )
    try:
        yield
    finally:
        process.terminate()
        await process.wait()


def without(accesses: list[Access], **fields: str) -> list[Access]:
    """All but those with these fields; there is one such at least."""
    left = [a for a in accesses if any(getattr(a, name) != value for name, value in fields.items())]
    assert left != accesses
    return left


def test_the_access_that_the_page_names_suffices_and_is_enforced(stack: StackForTest, tmp_path: Path) -> None:
    dsn = stack.database(template(2))
    postgres = PostgresSettings(dsn=as_service(dsn))

    async def with_less(kafka: Guarded, accesses: list[Access]) -> None:
        """A decider that may not write replies handles commands all the same, and nobody hears of it."""
        kafka.grant(without(accesses, user="decider", name="runfold.replies.", operation="Write"))
        async with roles(kafka, postgres):
            code, output = await evaluate(kafka, tmp_path, "unheard", "--tries", "1", "--answer-s", "2")
            assert code == 2, output

    async def with_all(kafka: Guarded, accesses: list[Access]) -> None:
        kafka.grant(accesses)
        async with roles(kafka, postgres), api_over(dsn) as api:
            code, output = await evaluate(kafka, tmp_path, "churn")
            assert code == 0, output
            async with following(kafka, api, tmp_path / "view.db"):
                await view_is(tmp_path / "view.db", "churn-2026-01-31")

    with guarded_kafka(tmp_path / "guarded") as kafka:
        make_topics(kafka)
        accesses = documented(NAMES)
        assert {access.user for access in accesses} == {"decider", "relay", "follower", "sender"}
        asyncio.run(with_less(kafka, accesses))
        asyncio.run(with_all(kafka, accesses))
