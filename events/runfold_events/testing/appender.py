"""A program that appends to a store from a process of its own.

    python -m runfold_events.testing.appender NAME TRANSACTIONS OPEN PLACE

``OPEN`` names what opens a store, such as ``runfold_events.stores.sqlite.store:SqliteStore.open``. Every transaction
appends one event of actor NAME to a stream of its own in partition 0.
"""

from __future__ import annotations

import asyncio
import inspect
import pkgutil
import sys

from runfold_events.ids_source import SystemIds
from runfold_events.ports import EventStore, Head, Write, WriterMark
from runfold_events.testing.builders import WRITER, EventBuilder, stream_in


async def append(store: EventStore, name: str, transactions: int) -> None:
    """Append ``transactions`` events, one at a time."""
    build = EventBuilder(store.epoch, SystemIds())
    stream = stream_in(0, store.partitions, name)
    for number in range(1, transactions + 1):
        async with store.transaction(0) as transaction:
            placed = build.place(transaction.row, [build.event(stream, actor=name, writer_seq=number)])
            head = Head(stream, placed[-1].stream_seq, b"%d" % number)
            await transaction.write(
                Write(events=placed, heads=[head], marks=[WriterMark(stream, WRITER, number, None)])
            )


async def main(name: str, transactions: str, opener: str, place: str) -> None:
    """Open, append, close."""
    opened = pkgutil.resolve_name(opener)(place)
    store: EventStore = await opened if inspect.isawaitable(opened) else opened
    await append(store, name, int(transactions))
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
