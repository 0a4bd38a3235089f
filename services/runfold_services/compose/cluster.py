"""How clients reach the cluster that settings name."""

from __future__ import annotations

from runfold_events.buses.kafka import Cluster
from runfold_services.kafka_settings import KafkaSettings


def cluster_of(settings: KafkaSettings) -> Cluster:
    """Addresses and credentials, as clients take them."""
    return Cluster(
        bootstrap_servers=settings.bootstrap_servers,
        security_protocol=settings.security_protocol,
        sasl_mechanism=settings.sasl_mechanism,
        sasl_username=settings.sasl_username,
        sasl_password=settings.sasl_password,
        ca_file=settings.ca_file,
    )
