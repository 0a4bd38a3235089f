"""The logs in Kafka, by aiokafka."""

from runfold_events.buses.kafka.admin import KafkaTopicAdmin
from runfold_events.buses.kafka.clients import Cluster
from runfold_events.buses.kafka.producer import CommandProducer
from runfold_events.buses.kafka.replies import KafkaReplyTopics
from runfold_events.buses.kafka.sink import KafkaEventSink
from runfold_events.buses.kafka.source import FetchBounds, Group, KafkaCommandSource

__all__ = [
    "Cluster",
    "CommandProducer",
    "FetchBounds",
    "Group",
    "KafkaCommandSource",
    "KafkaEventSink",
    "KafkaReplyTopics",
    "KafkaTopicAdmin",
]
