"""Reading a batch of records that aiokafka cannot parse.

aiokafka wants names of headers to be UTF-8. The broker does not check them, so one record with another name makes the
whole batch unreadable, again and again. Here such names are written with escapes, and the record goes on as any other
that is no command: it is kept, and its neighbours are handled.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from aiokafka import TopicPartition
from aiokafka.errors import CorruptRecordException, for_code
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.record import default_records
from aiokafka.record.util import decode_varint

from runfold_events.contract.errors import RunfoldError
from runfold_events.log_door import LogRecord
from runfold_events.log_ports import LogMismatch

DAMAGED: Final = "log_damaged"
WAIT_MS: Final = 100
FIRST_BATCH_BYTES: Final = 1  # a batch comes whole, however large it is

UNPARSED: Final = (CorruptRecordException, ValueError)
"""What aiokafka raises for a batch that it cannot parse; a name that is not UTF-8 is a ``ValueError``."""

_Batch: Any = default_records._DefaultRecordBatchPy  # pyright: ignore[reportPrivateUsage]
_varint: Any = decode_varint
_Fetch: Any = FetchRequest
_error_of: Any = for_code


async def read_batch(consumer: Any, place: TopicPartition, offset: int) -> tuple[list[LogRecord], int]:
    """The records from ``offset`` on of the batch that holds it, and the offset after that batch.

    Raises:
        LogMismatch: it cannot be read this way either (code ``log_damaged``).
        KafkaError: the broker does not answer.
    """
    client = consumer._client
    node = client.cluster.leader_for_partition(place)
    request = _Fetch(
        WAIT_MS,
        1,
        FIRST_BATCH_BYTES,
        0,
        [(place.topic, [(place.partition, offset, FIRST_BATCH_BYTES)])],
    )
    answer = await client.send(node, request)
    ((_, ((_, code, _, *rest),)),) = answer.topics
    if code:
        raise _error_of(code)(f"partition {place.partition} cannot be read")
    try:
        batch = _Batch(_first_batch(rest[-1]))
        if not batch.validate_crc():
            raise ValueError("its checksum is wrong")
        batch._maybe_uncompress()
        records = [record for record in _records(batch, place.partition) if record.offset >= offset]
        return records, batch.next_offset
    except RunfoldError:
        raise
    except Exception as error:
        raise LogMismatch(
            f"partition {place.partition} of topic {place.topic} cannot be read at offset {offset}: {error}",
            code=DAMAGED,
            facts={"topic": place.topic, "partition": place.partition, "offset": offset},
        ) from error


def _first_batch(data: bytes) -> bytearray:
    """What the length field at the beginning encloses."""
    length = int.from_bytes(data[8:12], "big")
    return bytearray(data[: 12 + length])


def _records(batch: Any, partition: int) -> Iterator[LogRecord]:
    """The format of Kafka's record batches, version 2."""
    buffer, pos = bytes(batch._buffer), batch._pos
    for _ in range(batch._num_records):
        length, pos = _varint(buffer, pos)
        end = pos + length
        _, pos = _varint(buffer, pos)  # attributes
        delta_ms, pos = _varint(buffer, pos)
        delta, pos = _varint(buffer, pos)
        key, pos = _bytes(buffer, pos)
        value, pos = _bytes(buffer, pos)
        count, pos = _varint(buffer, pos)
        headers: list[tuple[str, bytes]] = []
        for _ in range(count):
            name, pos = _bytes(buffer, pos)
            given, pos = _bytes(buffer, pos)
            headers.append(((name or b"").decode(errors="backslashreplace"), given or b""))
        if pos != end:
            raise ValueError("a record's size is wrong")
        appended = batch.timestamp_type == batch.LOG_APPEND_TIME
        time_ms = batch.max_timestamp if appended else batch.first_timestamp + delta_ms
        yield LogRecord(partition, batch.base_offset + delta, time_ms, key, value, tuple(headers))


def _bytes(buffer: bytes, pos: int) -> tuple[bytes | None, int]:
    length, pos = _varint(buffer, pos)
    return (None, pos) if length < 0 else (buffer[pos : pos + length], pos + length)
