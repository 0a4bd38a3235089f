"""What the processes beside Kafka are told from outside, and what follows from it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from msgspec import Struct

from runfold_events.contract import limits
from runfold_events.contract.errors import Invalid
from runfold_events.contract.submission import Actor
from runfold_events.log_door import LogRecord

COMMANDS: Final = "commands"
EVENTS: Final = "events"
DAY_MS: Final = 24 * 3_600 * 1_000
_PREFIX: Final = re.compile(r"[A-Za-z0-9._\-]{1,100}\Z")
_PROTOCOLS: Final = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")


class KafkaSettings(Struct, frozen=True, kw_only=True):
    """One Kafka cluster and the topics in it."""

    bootstrap_servers: str
    prefix: str = "runfold"  # of both topics' names and of the deciders' group
    replicas: int = 1
    insync_replicas_min: int = 1  # how many replicas keep a record before it is acknowledged
    commands_retention_ms: int = 7 * DAY_MS
    events_retention_ms: int = 7 * DAY_MS
    makes_topics: bool = True  # False: topics are made elsewhere, and only checked
    actor: str = "kafka"  # whom events name for commands that came by Kafka
    instance_id: str | None = (
        None  # a name that survives a restart of this process: its partitions stay with it
    )
    adopts_log: bool = (
        False  # go on with a command topic that is not the one the store knows; a loss is recorded
    )
    security_protocol: str = "PLAINTEXT"
    sasl_mechanism: str = "PLAIN"
    sasl_username: str | None = None
    sasl_password: str | None = None
    ca_file: str | None = None

    def __post_init__(self) -> None:
        if not _PREFIX.match(self.prefix):
            raise _invalid("RUNFOLD_KAFKA_PREFIX", _PREFIX.pattern, self.prefix)
        if not 1 <= self.insync_replicas_min <= self.replicas:
            raise _invalid(
                "RUNFOLD_KAFKA_INSYNC_REPLICAS_MIN",
                f"from 1 to {self.replicas}",
                str(self.insync_replicas_min),
            )
        if self.security_protocol not in _PROTOCOLS:
            raise _invalid("RUNFOLD_KAFKA_SECURITY", ", ".join(_PROTOCOLS), self.security_protocol)
        if not 1 <= len(self.actor) <= limits.ACTOR_CHARS_MAX:
            raise _invalid("RUNFOLD_KAFKA_ACTOR", f"1 to {limits.ACTOR_CHARS_MAX} characters", self.actor)

    @property
    def commands_topic(self) -> str:
        """Where commands come from."""
        return f"{self.prefix}.{COMMANDS}"

    @property
    def events_topic(self) -> str:
        """Where events go to."""
        return f"{self.prefix}.{EVENTS}"

    @property
    def group(self) -> str:
        """The consumer group of the deciders."""
        return f"{self.prefix}.deciders"

    def actor_of(self, record: LogRecord) -> Actor:
        """Who sent a record, as far as anybody knows: Kafka tells a consumer no sender, and a header proves nothing."""
        return _actor(self.actor)


@lru_cache(maxsize=16)
def _actor(name: str) -> Actor:
    return Actor(name, "kafka")


def kafka_settings_from_environment(environment: Mapping[str, str] | None = None) -> KafkaSettings | None:
    """What ``RUNFOLD_KAFKA`` (the bootstrap servers) and ``RUNFOLD_KAFKA_*`` say; None without ``RUNFOLD_KAFKA``.

    Raises:
        Invalid: a variable has a value that it cannot have; the message names it.
    """
    env = os.environ if environment is None else environment
    servers = env.get("RUNFOLD_KAFKA")
    if not servers:
        return None
    replicas = _number(env, "RUNFOLD_KAFKA_REPLICAS", 1)
    return KafkaSettings(
        bootstrap_servers=servers,
        prefix=env.get("RUNFOLD_KAFKA_PREFIX", "runfold"),
        replicas=replicas,
        # With three copies, two must have a record: one machine may be lost without a record or a pause.
        insync_replicas_min=_number(env, "RUNFOLD_KAFKA_INSYNC_REPLICAS_MIN", max(1, replicas - 1)),
        commands_retention_ms=_number(env, "RUNFOLD_KAFKA_COMMANDS_RETENTION_MS", 7 * DAY_MS),
        events_retention_ms=_number(env, "RUNFOLD_KAFKA_EVENTS_RETENTION_MS", 7 * DAY_MS),
        makes_topics=_flag(env, "RUNFOLD_KAFKA_MAKES_TOPICS", default=True),
        actor=env.get("RUNFOLD_KAFKA_ACTOR", "kafka"),
        instance_id=env.get("RUNFOLD_KAFKA_INSTANCE_ID") or None,
        adopts_log=_flag(env, "RUNFOLD_KAFKA_ADOPTS_LOG", default=False),
        security_protocol=env.get("RUNFOLD_KAFKA_SECURITY", "PLAINTEXT"),
        sasl_mechanism=env.get("RUNFOLD_KAFKA_SASL_MECHANISM", "PLAIN"),
        sasl_username=env.get("RUNFOLD_KAFKA_USERNAME") or None,
        sasl_password=env.get("RUNFOLD_KAFKA_PASSWORD") or None,
        ca_file=env.get("RUNFOLD_KAFKA_CA_FILE") or None,
    )


def _number(env: Mapping[str, str], name: str, default: int) -> int:
    text = env.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit()):
        raise _invalid(name, "a whole number", text)
    return int(text)


def _flag(env: Mapping[str, str], name: str, *, default: bool) -> bool:
    text = env.get(name, "yes" if default else "no").lower()
    if text not in {"yes", "no"}:
        raise _invalid(name, "yes or no", text)
    return text == "yes"


def _invalid(name: str, wanted: str, got: str) -> Invalid:
    return Invalid(
        f"{name} must be {wanted}; got {got[:80]!r}", facts={"field": name, "limit": wanted, "size": got[:80]}
    )
