"""How this package's clients reach a cluster."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from msgspec import Struct

PRODUCER_STOP_S: Final = 1.0

# aiokafka has no types.
_Consumer: Any = AIOKafkaConsumer
_Producer: Any = AIOKafkaProducer
_Admin: Any = AIOKafkaAdminClient


class Cluster(Struct, frozen=True, kw_only=True):
    """Addresses and credentials, as aiokafka names them."""

    bootstrap_servers: str  # host:port, comma-separated
    client_id: str = "runfold"
    security_protocol: str = "PLAINTEXT"  # SSL, SASL_PLAINTEXT, SASL_SSL
    sasl_mechanism: str = "PLAIN"  # SCRAM-SHA-256, SCRAM-SHA-512
    sasl_username: str | None = None
    sasl_password: str | None = None
    ca_file: str | None = None  # None: the system's
    request_timeout_s: float = 10.0

    def common(self) -> dict[str, Any]:
        """Arguments that every client of aiokafka takes."""
        arguments: dict[str, Any] = {
            "bootstrap_servers": self.bootstrap_servers,
            "client_id": self.client_id,
            "request_timeout_ms": round(self.request_timeout_s * 1_000),
            "security_protocol": self.security_protocol,
        }
        if self.security_protocol.endswith("SSL"):
            arguments["ssl_context"] = ssl.create_default_context(cafile=self.ca_file)
        if self.security_protocol.startswith("SASL"):
            arguments["sasl_mechanism"] = self.sasl_mechanism
            arguments["sasl_plain_username"] = self.sasl_username
            arguments["sasl_plain_password"] = self.sasl_password
        return arguments


def new_consumer(cluster: Cluster, *topics: str, **arguments: Any) -> Any:
    """A consumer that commits nothing by itself and never chooses a position by itself."""
    return _Consumer(
        *topics,
        **cluster.common(),
        enable_auto_commit=False,
        auto_offset_reset="none",
        **arguments,
    )


def new_producer(cluster: Cluster, **arguments: Any) -> Any:
    """A producer, idempotent unless ``arguments`` say otherwise."""
    return _Producer(
        **{**cluster.common(), "enable_idempotence": True, "acks": "all", **arguments},
    )


def new_admin(cluster: Cluster) -> Any:
    """An admin client."""
    return _Admin(**cluster.common())


async def started(client: Any) -> Any:
    """``client``, started; stopped again when that fails, since aiokafka leaves connections open then."""
    try:
        await client.start()
    except BaseException:
        await (client.close() if isinstance(client, _Admin) else stop_client(client))
        raise
    return client


async def stop_client(client: Any) -> None:
    """Stop a consumer, or a producer without waiting for what it cannot deliver.

    An idempotent producer of aiokafka never gives a record up, so its own ``stop`` waits for ever when the broker is
    gone. There is no public way to close it without.
    """
    if not isinstance(client, _Producer):
        await client.stop()
        return
    try:
        async with asyncio.timeout(PRODUCER_STOP_S):
            await client.stop()
    except TimeoutError:
        await client._sender.close()
        await client.client.close()
