"""Values by Kafka: records for the command topic, and questions about them to the server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from runfold._http import HttpTransport
from runfold._transport import Batch, Place, submissions_of
from runfold_events.contract.errors import Invalid, RunfoldError, Unavailable
from runfold_events.contract.submission import Actor, stream_of
from runfold_events.fates import Asked, Fate

if TYPE_CHECKING:
    from runfold_services.kafka_settings import KafkaSettings

_DOOR: Final = "kafka"
_NOBODY: Final = Actor("", _DOOR)  # records say nothing of who sent them


def open_log(server: HttpTransport, traceparent: str | None) -> KafkaLog:
    """The command topic of a server's store, as the environment names it.

    Raises:
        Invalid: it names none, or what it says cannot be meant; or a package is missing.
    """
    from runfold_services.kafka_settings import kafka_settings_from_environment

    settings = kafka_settings_from_environment()
    if settings is None:
        raise Invalid(
            "RUNFOLD_VALUES_BY=kafka needs the addresses of the cluster: RUNFOLD_KAFKA=host:port,…",
            facts={"field": "RUNFOLD_KAFKA", "limit": "host:port,…"},
        )
    return KafkaLog(settings, server, traceparent)


class KafkaLog:
    """See :class:`~runfold._transport.CommandLog`."""

    def __init__(self, settings: KafkaSettings, server: HttpTransport, traceparent: str | None) -> None:
        """
        Raises:
            Invalid: aiokafka is not installed.
        """
        try:
            from runfold_services.compose.command_log import CommandLog
        except ImportError as error:
            raise Invalid(
                f"RUNFOLD_VALUES_BY=kafka needs {error.name}: pip install 'runfold[kafka]'",
                facts={"field": "RUNFOLD_VALUES_BY", "limit": "runfold[kafka]"},
            ) from None
        self._log = CommandLog(settings)
        self._server = server
        self._traceparent = traceparent

    def post(self, batch: Batch) -> list[Place]:
        return self._log.post(submissions_of(batch, _NOBODY, _DOOR, self._traceparent))

    def fates(self, batch: Batch, places: Sequence[Place]) -> list[Fate]:
        asked = asked_about(batch, places)
        try:
            fates = self._server.fates(batch.writer_id, asked)
        except Unavailable:
            raise
        except RunfoldError as error:  # that this cannot be asked says nothing about the commands
            raise Unavailable(
                f"what became of values that went by Kafka cannot be asked: {error}", facts=error.facts
            ) from None
        if len(fates) != len(asked):
            raise Unavailable(f"{len(asked)} commands were asked about, {len(fates)} were answered")
        return fates

    def close(self) -> None:
        self._log.close()


def asked_about(batch: Batch, places: Sequence[Place]) -> list[Asked]:
    """The question what became of a request's commands."""
    return [
        Asked(
            stream=stream_of(batch.workspace, item.command),
            number=item.writer_seq,
            partition=partition,
            offset=offset,
        )
        for item, (partition, offset) in zip(batch.items, places, strict=True)
    ]
