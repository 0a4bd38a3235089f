"""Topics as a program sees and makes them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from aiokafka.admin import NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from runfold_events.buses.kafka.clients import Cluster, new_admin, started
from runfold_events.buses.kafka.failures import RETRY_AFTER_S, translating
from runfold_events.contract.errors import Invalid, Unavailable
from runfold_events.log_ports import TopicState

NO_ERROR: Final = 0
UNKNOWN_TOPIC: Final = 3
TOPIC_EXISTS: Final = 36
REFUSED: Final = frozenset(
    {17, 37, 38, 39, 40, 44}
)  # name, partitions, replicas, assignment, settings, policy
LEADER_S_MAX: Final = 30.0
LEADER_POLL_S: Final = 0.05


class KafkaTopicAdmin:
    """See :class:`~runfold_events.log_ports.TopicAdmin`."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._admin: Any = None

    async def describe(self, name: str) -> TopicState | None:
        """See the port."""
        with translating():
            admin = await self._started()
            (topic,) = await admin.describe_topics([name])
            if topic["error_code"] == UNKNOWN_TOPIC:
                return None
            _check(topic["error_code"], f"topic {name} cannot be described")
            (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)])
        (resource,) = answer.resources
        _check(resource[0], f"the settings of topic {name} cannot be read: {resource[1]}")
        return TopicState(
            partitions=len(topic["partitions"]),
            replicas=min((len(p["replicas"]) for p in topic["partitions"]), default=0),
            settings={entry[0]: entry[1] or "" for entry in resource[4]},
        )

    async def create(self, name: str, partitions: int, replicas: int, settings: Mapping[str, str]) -> None:
        """See the port."""
        with translating():
            admin = await self._started()
            answer = await admin.create_topics(
                [NewTopic(name, partitions, replicas, topic_configs=dict(settings))]
            )
            for topic, code, message in answer.topic_errors:  # create_topics itself does not raise
                if code in REFUSED:
                    raise Invalid(
                        f"Kafka refuses to make topic {topic}: {message}",
                        facts={"field": "topic", "size": topic},
                    )
                if code != TOPIC_EXISTS:
                    _check(code, f"topic {topic} cannot be made: {message}")
            async with asyncio.timeout(LEADER_S_MAX):
                while not await _has_leaders(admin, name):  # noqa: ASYNC110 - the broker tells nobody
                    await asyncio.sleep(LEADER_POLL_S)

    async def topics(self) -> Mapping[str, int]:
        """How many partitions each topic has. Asking for all of them makes none, as asking for one may."""
        with translating():
            found = await (await self._started()).describe_topics(None)
        return {topic["topic"]: len(topic["partitions"]) for topic in found}

    async def stop(self) -> None:
        """See the port."""
        admin, self._admin = self._admin, None
        if admin is not None:
            await admin.close()

    async def _started(self) -> Any:
        if self._admin is None:
            self._admin = await started(new_admin(self._cluster))
        return self._admin


async def _has_leaders(admin: Any, name: str) -> bool:
    (topic,) = await admin.describe_topics([name])
    return bool(topic["partitions"]) and all(partition["leader"] >= 0 for partition in topic["partitions"])


def _check(code: int, message: str) -> None:
    if code != NO_ERROR:
        raise Unavailable(
            f"{message} (error {code})", facts={"retry_after": RETRY_AFTER_S, "kafka_error": code}
        )
