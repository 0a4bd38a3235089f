"""Reply topics in Kafka."""

from __future__ import annotations

from typing import Final

from runfold_events.buses.kafka.admin import KafkaTopicAdmin
from runfold_events.buses.kafka.clients import Cluster
from runfold_events.buses.kafka.sender import Sender
from runfold_events.contract.cloudevents import Record

REPLY_BYTES_MAX: Final = (
    900_000  # fits the default max.message.bytes of a topic that a sender made for itself
)
DEADLINE_S: Final = 5.0


class KafkaReplyTopics:
    """See :class:`~runfold_events.log_ports.ReplyTopics`."""

    def __init__(self, cluster: Cluster, *, deadline_s: float = DEADLINE_S) -> None:
        self._admin = KafkaTopicAdmin(cluster)
        # Best effort: one broker's word is enough, and an idempotent producer would keep what it cannot deliver.
        self._sender = Sender(cluster, REPLY_BYTES_MAX, deadline_s, enable_idempotence=False, acks=1)

    async def existing(self) -> frozenset[str]:
        """See the port."""
        return frozenset(await self._admin.topics())

    async def send(self, topic: str, record: Record) -> None:
        """See the port."""
        await self._sender.send(topic, None, [record])

    async def stop(self) -> None:
        """See the port."""
        try:
            await self._sender.stop()
        finally:
            await self._admin.stop()
