"""``runfold up`` and ``runfold serve`` are thin: they read what was told and hand it to the services."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING, Any, Final, cast

import click
import msgspec

from runfold.cli.exits import Exit
from runfold.cli.options import Options
from runfold.cli.servers import server_extra
from runfold.cli.session import Session
from runfold_events.contract.errors import Invalid

if TYPE_CHECKING:
    from runfold_services.serve import Placed, RoleName
    from runfold_services.supervisor import Child

SUPERVISED: Final = "RUNFOLD_SUPERVISED"  # between `up` and the processes that it starts


def serve(options: Options, given: dict[str, Any]) -> int:
    """Serve until told to stop; ``given`` are settings of the command line, which win over the environment."""
    if options.url is not None:
        raise click.UsageError("up serves the ledger in the home; --url has no meaning here")
    from runfold._settings import load_settings
    from runfold_services import committing, folding
    from runfold_services.compose import open_embedded
    from runfold_services.helper_on_loop import HelperOnLoop
    from runfold_services.helper_process import helper_command
    from runfold_services.server import serve as serve_backend
    from runfold_services.settings import settings_from_environment
    from runfold_services.threads import Threads

    settings = msgspec.structs.replace(settings_from_environment(), **given)
    home = (options.home or load_settings().home).expanduser().absolute()
    Session(options).output.note(f"runfold: serving the ledger in {home}")
    backend = open_embedded(home, background=False, files=settings.files)
    folder, committer = (
        HelperOnLoop(helper_command(task, home), task) for task in (folding.TASK, committing.TASK)
    )
    places = committing.CommittingBeside(Threads(settings.query_threads), committer)
    serve_backend(backend, settings, folding.FoldingBeside(places, folder))
    return Exit.OK


def serve_role(
    options: Options, role: str, postgres: str | None, kafka: str | None, given: dict[str, Any]
) -> int:
    """Be one process of the distributed set-up."""
    _refuse_others(options, "serve")
    from runfold._settings import load_settings
    from runfold_services.serve import PORTS
    from runfold_services.serve import serve as serve_process
    from runfold_services.settings import settings_from_environment
    from runfold_services.supervisor import end_with_parent

    name = cast("RoleName", role)
    placed = _placed(postgres, kafka)
    settings = msgspec.structs.replace(
        settings_from_environment(port=PORTS[name]), home=load_settings().home, **given
    )
    if os.environ.get(SUPERVISED):
        end_with_parent()
    with server_extra():
        serve_process(name, placed, settings)
    return Exit.OK


def serve_all(options: Options, postgres: str | None, kafka: str | None, given: dict[str, Any]) -> int:
    """One process of each role, and a store if there is none."""
    _refuse_others(options, "up")
    from runfold_services.serve import NEEDS_KAFKA, ROLES
    from runfold_services.settings import settings_from_environment
    from runfold_services.supervisor import supervise
    from runfold_services.telemetry import configure_logging

    placed = _placed(postgres, kafka)
    settings = msgspec.structs.replace(settings_from_environment(), **given)
    configure_logging(settings.log_format, settings.log_level)
    output = Session(options).output
    with server_extra():
        dsn = asyncio.run(_prepared(placed.postgres.dsn, output.note))
    roles: list[RoleName] = [role for role in ROLES if placed.kafka is not None or role not in NEEDS_KAFKA]
    children = [_child(role, dsn, kafka, given) for role in roles]

    def ready(urls: dict[str, str]) -> None:
        for role, url in urls.items():
            if role != "api":
                output.note(f"runfold: {role} at {url}")
        sys.stdout.write(f"runfold ready at {urls['api']}\n")
        sys.stdout.flush()

    supervise(children, ready)
    return Exit.OK


async def _prepared(dsn: str, note: Any) -> str:
    """A DSN with the rights of a service; the store is made, or brought up to date, where ``dsn`` is its owner's."""
    from runfold_services.compose.admin import as_role, is_service, prepare_ledger

    if await is_service(dsn):
        return dsn
    done = await prepare_ledger(dsn)
    if done.is_new:
        note(f"runfold: made a store of {done.partitions} partitions")
    for name in done.migrations:
        note(f"runfold: applied {name}")
    return as_role(dsn, done.service_role)


def _child(role: RoleName, dsn: str, kafka: str | None, given: dict[str, Any]) -> Child:
    """A process of ``role``. Addresses go by the environment: a command line can be read by everybody."""
    from runfold_services.supervisor import Child

    own = {"port": 0} if role != "api" else {}
    words = [
        word
        for name, value in {**given, **own}.items()
        for word in (f"--{name.replace('_', '-')}", str(value))
    ]
    environment = {**os.environ, "RUNFOLD_POSTGRES": dsn, SUPERVISED: "1", "PYTHONUNBUFFERED": "1"}
    if kafka is not None:
        environment["RUNFOLD_KAFKA"] = kafka
    command = [sys.executable, "-m", "runfold.cli.main", "serve", role, *words]
    return Child(role=role, command=command, environment=environment)


def _placed(postgres: str | None, kafka: str | None) -> Placed:
    from runfold_services.kafka_settings import kafka_settings_from_environment
    from runfold_services.postgres_settings import postgres_settings_from_environment
    from runfold_services.serve import Placed

    found = postgres_settings_from_environment(dsn=postgres)
    if found is None:
        raise Invalid(
            "no database is named: --postgres DSN, or RUNFOLD_POSTGRES",
            facts={"field": "--postgres", "limit": "required"},
        )
    environment = os.environ if kafka is None else {**os.environ, "RUNFOLD_KAFKA": kafka}
    return Placed(postgres=found, kafka=kafka_settings_from_environment(environment))


def _refuse_others(options: Options, command: str) -> None:
    for name, value in (("--url", options.url), ("--home", options.home)):
        if value is not None:
            raise click.UsageError(f"{command} serves the store in Postgres; {name} has no meaning here")
