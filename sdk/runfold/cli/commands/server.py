"""``runfold up`` and ``runfold serve``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from runfold.cli.options import options_of
from runfold.cli.tree import Leaf

Command = TypeVar("Command", bound=Callable[..., Any])

_ENVIRONMENT: Final = {
    "Environment": [
        ("RUNFOLD_POSTGRES", "The event store's database, as the role that services act as."),
        ("RUNFOLD_POSTGRES_VIEWS", "Another database for the views. Default: the same."),
        ("RUNFOLD_KAFKA", "Bootstrap servers; RUNFOLD_KAFKA_* say more: docs/operating.md."),
        ("RUNFOLD_TOKEN", "The one credential of the API; RUNFOLD_TOKENS_FILE names a file with several."),
        ("RUNFOLD_FILES", "Where the API keeps contents of files: a folder, or s3://bucket/prefix."),
        ("RUNFOLD_LOG", "How much to log where --log-level does not say it; RUNFOLD_LOG_FORMAT: how."),
    ],
}


def _place_options(command: Command) -> Command:
    """Where the processes of the distributed set-up find each other."""
    options = (
        click.option(
            "--postgres", metavar="DSN", help="The event store's database.  [default: RUNFOLD_POSTGRES]"
        ),
        click.option("--kafka", metavar="HOST:PORT", help="Bootstrap servers.  [default: RUNFOLD_KAFKA]"),
    )
    for option in reversed(options):
        command = option(command)
    return command


def _server_options(port: str) -> Callable[[Command], Command]:
    """Where a process listens, and how it logs."""
    options = (
        click.option(
            "--host",
            metavar="HOST",
            help="Address to listen on. The API on others than loopback needs RUNFOLD_TOKEN.  [default: 127.0.0.1]",
        ),
        click.option(
            "--port",
            type=click.IntRange(0, 65_535),
            help=f"Port to listen on; 0: a free one.  [default: {port}]",
        ),
        click.option(
            "--log-format", type=click.Choice(["auto", "json", "console"]), help="How to log, on stderr."
        ),
        click.option(
            "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), help="How much to log."
        ),
    )

    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


@click.command(
    cls=Leaf,
    short_help="Serve the API over the ledger in RUNFOLD_HOME, or over Kafka and Postgres.",
    sections=_ENVIRONMENT,
    examples=[
        ("over the runs in RUNFOLD_HOME", "runfold up"),
        ("on a free port, for a script", "runfold up --port 0"),
        ("for other machines, which then need the token", "RUNFOLD_TOKEN=… runfold up --host 0.0.0.0"),
        (
            "one process of each role over Kafka and Postgres",
            "runfold up --kafka 127.0.0.1:9092 --postgres postgresql://me@127.0.0.1/runfold",
        ),
    ],
)
@_place_options
@_server_options("8765")
@click.pass_context
def up(context: click.Context, /, postgres: str | None, kafka: str | None, **given: Any) -> int:
    """Serve the API and the views over the ledger in RUNFOLD_HOME, until Ctrl-C.

    With --postgres, over the store in that database: one process of each role (`runfold serve`), kept running. The
    store is made where there is none and the DSN is the owner's. Without --kafka there is neither decider nor relay.

    One ready line goes to stdout: `runfold ready at http://127.0.0.1:8765`. Everything else is logged to stderr.
    """
    from runfold.cli import serving

    options, settings = options_of(context), _given(given)
    if postgres is None and kafka is None:
        return serving.serve(options, settings)
    return serving.serve_all(options, postgres, kafka, settings)


@click.command(
    cls=Leaf,
    short_help="Be one process of the distributed set-up.",
    sections=_ENVIRONMENT,
    examples=[
        ("the HTTP API over the store in RUNFOLD_POSTGRES", "runfold serve api"),
        ("commands from Kafka into the store", "runfold serve decider --kafka kafka-1:9092,kafka-2:9092"),
        ("events from the store onto Kafka", "runfold serve relay"),
        ("events from the store into the views", "runfold serve projector"),
    ],
)
@click.argument("role", type=click.Choice(["api", "decider", "relay", "projector"]))
@_place_options
@_server_options("8765 api, 8766 decider, 8767 relay, 8768 projector")
@click.pass_context
def serve(context: click.Context, /, role: str, postgres: str | None, kafka: str | None, **given: Any) -> int:
    """Be one process of the distributed set-up, until Ctrl-C or SIGTERM. Start as many of each as you want.

    What it needs may come up later: it waits, alive and not ready. One ready line goes to stdout; /health/live,
    /health/ready and /metrics answer at its address. The store is made by `runfold ledger create`.
    """
    from runfold.cli import serving

    return serving.serve_role(options_of(context), role, postgres, kafka, _given(given))


def _given(given: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if value is not None}
