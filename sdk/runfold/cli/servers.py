"""Options that name servers, for commands that go to Postgres or Kafka themselves instead of asking an API."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from runfold_events.contract.errors import Invalid

if TYPE_CHECKING:
    from runfold_services.kafka_settings import KafkaSettings

Command = TypeVar("Command", bound=Callable[..., Any])

OWNER: Final = "RUNFOLD_POSTGRES_OWNER"
SERVICE: Final = "RUNFOLD_POSTGRES"
KAFKA: Final = "RUNFOLD_KAFKA"


def owner_option(command: Command) -> Command:
    """``--postgres``, as the database's owner."""
    return click.option(
        "--postgres",
        metavar="DSN",
        help=f"The database, as its owner. Better in {OWNER}: arguments show in lists of processes.",
    )(command)


def postgres_option(command: Command) -> Command:
    """``--postgres``, as the service role."""
    return click.option(
        "--postgres",
        metavar="DSN",
        help=f"A server's store, as its service role. Default: {SERVICE}, unless --url or --home is given.",
    )(command)


def kafka_option(command: Command) -> Command:
    """``--kafka``; everything else about it stands in the environment."""
    return click.option(
        "--kafka", metavar="SERVERS", help=f"The Kafka around the store, host:port. Default: {KAFKA}."
    )(command)


def owner_dsn(given: str | None) -> str | None:
    """The owner's DSN, from the option or the environment."""
    return given or os.environ.get(OWNER) or None


def service_dsn(given: str | None) -> str | None:
    """The service's DSN, from the option or the environment."""
    return given or os.environ.get(SERVICE) or None


def required_owner_dsn(given: str | None) -> str:
    """The owner's DSN; raises :class:`Invalid` where none is given."""
    dsn = owner_dsn(given)
    if dsn is None:
        raise Invalid(
            f"which database? --postgres DSN or {OWNER} names it, as its owner", facts={"field": "--postgres"}
        )
    return dsn


def kafka_settings(given: str | None) -> KafkaSettings | None:
    """What the option and the environment say of Kafka; None where neither names servers."""
    from runfold_services.kafka_settings import kafka_settings_from_environment

    return kafka_settings_from_environment({**os.environ, KAFKA: given} if given else None)


@contextmanager
def server_extra() -> Generator[None]:
    """Say what is missing where the libraries of servers are not installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name not in {"asyncpg", "aiokafka"}:
            raise
        raise Invalid(
            f"this needs {error.name}: pip install 'runfold[server]'", facts={"field": error.name}
        ) from None
