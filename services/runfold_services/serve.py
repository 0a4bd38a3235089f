"""``runfold serve ROLE``: one process of the distributed set-up, from settings to its end."""

from __future__ import annotations

from typing import Final, Literal, get_args

from msgspec import Struct

from runfold_events.contract.errors import Invalid
from runfold_services.kafka_settings import KafkaSettings
from runfold_services.postgres_settings import PostgresSettings
from runfold_services.settings import PORT_DEFAULT, ServerSettings

RoleName = Literal["api", "decider", "relay", "projector"]
ROLES: Final[tuple[RoleName, ...]] = get_args(RoleName)
PORTS: Final[dict[RoleName, int]] = {name: PORT_DEFAULT + number for number, name in enumerate(ROLES)}
NEEDS_KAFKA: Final[frozenset[RoleName]] = frozenset({"decider", "relay"})


class Placed(Struct, frozen=True, kw_only=True):
    """Where a process of the distributed set-up finds the others."""

    postgres: PostgresSettings
    kafka: KafkaSettings | None = None


def serve(role: RoleName, placed: Placed, settings: ServerSettings) -> None:
    """Be a process of ``role`` until SIGTERM or SIGINT.

    Raises:
        Invalid: what the role needs is not named.
        RunfoldError: the role cannot start; the message says why and what to change.
    """
    if role == "api":
        from runfold_services.compose.postgres import open_server
        from runfold_services.server import serve_on_loop

        serve_on_loop(
            lambda: open_server(
                placed.postgres, lease_s=settings.lease_s, files=settings.files, home=settings.home
            ),
            settings,
        )
        return
    from runfold_services.role_process import OpenRole, serve_role

    openers: dict[RoleName, OpenRole] = {}
    if role == "projector":
        from runfold_services.compose.postgres import open_projector_role

        openers[role] = lambda: open_projector_role(placed.postgres)
    else:
        from runfold_services.compose.kafka import open_decider, open_relay

        kafka = placed.kafka
        if kafka is None:
            raise Invalid(
                f"the {role} needs Kafka: --kafka HOST:PORT, or RUNFOLD_KAFKA",
                facts={"field": "--kafka", "limit": "required"},
            )
        openers["decider"] = lambda: open_decider(placed.postgres, kafka)
        openers["relay"] = lambda: open_relay(placed.postgres, kafka)
    serve_role(role, openers[role], settings)
