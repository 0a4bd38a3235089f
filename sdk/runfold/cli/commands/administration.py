"""What the owner of a store does to it: make it, migrate it, say that it was restored."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from runfold.cli.answer import Answer
from runfold.cli.render.facts import facts_table
from runfold.cli.servers import kafka_settings, owner_dsn, required_owner_dsn, server_extra
from runfold.cli.session import Session
from runfold_events.contract import limits
from runfold_events.contract.errors import Invalid, NotFound, RunfoldError

if TYPE_CHECKING:
    from runfold_events.restoring import Restoration
    from runfold_services.compose.admin import Prepared

NOTHING_TO_SAY: Final = "not_restored"


def create(postgres: str | None, service_role: str, partitions: int | None) -> Answer:
    """Make the store, or find it."""
    dsn = required_owner_dsn(postgres)
    with server_extra():
        from runfold_services.compose.admin import prepare_ledger
    wanted = partitions or limits.PARTITIONS_SERVER_DEFAULT
    done = asyncio.run(prepare_ledger(dsn, service_role=service_role, partitions=wanted))
    if partitions not in (None, done.partitions):
        raise Invalid(
            f"{done.place} holds a store with {done.partitions} partitions already; their number is fixed. Another one "
            "is an export and an import into a new store",
            facts={"field": "--partitions", "limit": done.partitions, "size": partitions},
        )
    return _prepared(done, "created" if done.is_new else "was there")


def migrate(postgres: str | None, service_role: str) -> Answer:
    """Apply what is missing."""
    dsn = required_owner_dsn(postgres)
    with server_extra():
        from runfold_services.compose.admin import prepare_ledger
    done = asyncio.run(prepare_ledger(dsn, service_role=service_role, creates=False))
    return _prepared(done, "migrated" if done.migrations else "was up to date")


def _prepared(done: Prepared, state: str) -> Answer:
    facts: dict[str, Any] = {
        "state": state,
        "database": done.place,
        "partitions": done.partitions,
        "schema_version": done.schema_version,
        "service_role": done.service_role,
        "epoch": str(done.epoch),
        "migrations": list(done.migrations),
    }
    shown = {**facts, "migrations": ", ".join(done.migrations) or "none"}
    return Answer(facts, lambda console: facts_table(shown), tuple(facts))


def restored(session: Session, postgres: str | None, kafka: str | None, *, force: bool) -> Answer:
    """Mark the store as restored."""
    dsn = postgres if session.options.home is not None else owner_dsn(postgres)
    if dsn is None:
        return _restored(session, *_restored_file(session))
    return _restored(session, *_restored_database(dsn, kafka, force=force))


def _restored_database(dsn: str, kafka: str | None, *, force: bool) -> tuple[str, Restoration]:
    with server_extra():
        from runfold_services.compose.admin import restore_ledger
        from runfold_services.compose.recovery import signs_of_restore
    settings = kafka_settings(kafka)
    if settings is not None and not force and not asyncio.run(signs_of_restore(dsn, settings)):
        raise RunfoldError(
            "nothing was done: Kafka knows of nothing that the store has forgotten. If it was restored all the same, "
            "to a time after which nothing was published, add --force",
            code=NOTHING_TO_SAY,
            facts={"field": "--force"},
        )
    return "database", asyncio.run(restore_ledger(dsn))


def _restored_file(session: Session) -> tuple[str, Restoration]:
    from runfold_services.compose import ledger_path, restore_embedded

    home = session.home("runfold ledger restored")
    if not ledger_path(home).exists():
        raise NotFound(
            f"there is no ledger in {home}; --home DIR or RUNFOLD_HOME says where it is, --postgres DSN a database",
            facts={"field": "--home", "size": str(home)},
        )
    return "file", restore_embedded(home)


def _restored(session: Session, what: str, done: Restoration) -> Answer:
    session.output.after("go on with: runfold rebuild")
    facts: dict[str, Any] = {
        "restored": what,
        "epoch": str(done.epoch),
        "previous_epoch": str(done.previous_epoch),
        "ends": list(done.ends),
    }
    shown = {**facts, "ends": ", ".join(map(str, done.ends))}
    return Answer(facts, lambda console: facts_table(shown), tuple(facts))
