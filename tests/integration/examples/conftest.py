"""One runfold over Kafka and Postgres for all example services."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from runfold_services.stack import Stack
from tests.integration.examples.world import World, serving
from tests.support.http_server import Client
from tests.support.stack import StackForTest


@pytest.fixture(scope="session")
def world(run_stack: Stack) -> Generator[World]:
    """A process of each role, and a reply topic."""
    mine = StackForTest(run_stack)
    try:
        with serving(mine) as world:
            world.make_topic(world.reply_topic)
            yield world
    finally:
        mine.close()


@pytest.fixture
def client(world: World) -> Generator[Client]:
    """HTTP to the API process."""
    with Client(world.api) as client:
        yield client
