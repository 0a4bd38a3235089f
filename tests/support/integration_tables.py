"""The tables at the end of docs/integration.md, as the code says them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from runfold_events.contract import limits
from runfold_events.contract.schemas import COMMAND_HEADERS, EVENT_HEADERS, REPLY_HEADERS, Header
from runfold_services.contract_docs import DEFAULTS
from runfold_services.kafka_settings import DAY_MS
from runfold_services.topics import Topic, commands_topic, events_topic

_SETTING_OF: Final = {
    "retention.ms": "`RUNFOLD_KAFKA_COMMANDS_RETENTION_MS`, `RUNFOLD_KAFKA_EVENTS_RETENTION_MS`",
    "min.insync.replicas": "`RUNFOLD_KAFKA_INSYNC_REPLICAS_MIN`; one less than the replicas",
}
_LIMITS: Final = (
    ("a command's record, key and headers included", limits.COMMAND_BYTES_MAX, "bytes"),
    ("an event's record, key and headers included", limits.EVENT_BYTES_MAX, "bytes"),
    ("a metric batch", limits.METRIC_BATCH_BYTES_MAX, "bytes"),
    ("a metric batch, unpacked", limits.METRIC_BATCH_DECOMPRESSED_BYTES_MAX, "bytes"),
    ("points in a batch", limits.METRIC_POINTS_PER_BATCH_MAX, ""),
    ("series in a batch", limits.METRIC_SERIES_PER_BATCH_MAX, ""),
    ("columns of a series", limits.METRIC_COLUMNS_PER_SERIES_MAX, ""),
    ("name of a metric", limits.METRIC_NAME_CHARS_MAX, "characters"),
    ("run id", limits.RUN_ID_CHARS_MAX, "characters of `A-Z a-z 0-9 _ - .`"),
    ("name of an experiment", limits.EXPERIMENT_NAME_CHARS_MAX, "characters"),
    ("name of a workspace", limits.WORKSPACE_NAME_CHARS_MAX, "characters"),
    ("tags of a run", limits.TAGS_PER_RUN_MAX, ""),
    (
        "key, value of a tag",
        limits.TAG_KEY_CHARS_MAX,
        f"characters, {limits.TAG_VALUE_CHARS_MAX:,} characters",
    ),
    ("properties of a run", limits.PROPERTIES_PER_RUN_MAX, ""),
    (
        "key, value of a property",
        limits.PROPERTY_KEY_CHARS_MAX,
        f"characters, {limits.PROPERTY_VALUE_CHARS_MAX:,} characters",
    ),
    ("parameters of a run", limits.PARAMS_PER_RUN_MAX, ""),
    ("description", limits.DESCRIPTION_CHARS_MAX, "characters"),
    ("open gaps of a writer on a stream", limits.WRITER_GAPS_MAX, ""),
)


def integration_part() -> str:
    """All tables."""
    commands = commands_topic(DEFAULTS, limits.PARTITIONS_SERVER_DEFAULT)
    events = events_topic(DEFAULTS, limits.PARTITIONS_SERVER_DEFAULT)
    return "\n".join(
        [
            *_headers("Headers of a command", COMMAND_HEADERS),
            *_headers("Headers of an event", EVENT_HEADERS),
            *_headers("Headers of a reply", REPLY_HEADERS),
            *_topics(commands, events),
            *_table(
                "Limits", ("what", "at most"), [(what, _amount(size, unit)) for what, size, unit in _LIMITS]
            ),
        ]
    ).strip()


def _headers(title: str, headers: Iterable[Header]) -> list[str]:
    rows = [(f"`{h.name}`", "yes" if h.required else "", h.meaning) for h in headers]
    return _table(title, ("header", "always", "meaning"), rows)


def _topics(commands: Topic, events: Topic) -> list[str]:
    rows = [
        ("name", f"`{commands.name}`", f"`{events.name}`", "`RUNFOLD_KAFKA_PREFIX`"),
        (
            "partitions",
            str(commands.partitions),
            str(events.partitions),
            "the store's P, fixed at its creation",
        ),
        (
            "replicas",
            f"at least {commands.replicas}",
            f"at least {events.replicas}",
            "`RUNFOLD_KAFKA_REPLICAS`; 3 in production",
        ),
    ]
    for name, value in commands.settings.items():
        said = (_readable(name, value), _readable(name, events.settings[name]))
        rows.append((f"`{name}`", *said, _SETTING_OF.get(name, "")))
    return _table("Topics", ("", "commands", "events", "set by"), rows)


def _readable(name: str, value: str) -> str:
    return f"{value} ({int(value) // DAY_MS} days)" if name == "retention.ms" else value


def _amount(size: int, unit: str) -> str:
    if unit == "bytes" and size % (1024 * 1024) == 0:
        return f"{size // (1024 * 1024)} MiB"
    return f"{size:,} {unit}".strip()


def _table(title: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [f"## {title}", "", f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    return [*lines, *(f"| {' | '.join(row)} |" for row in rows), ""]
