"""Commands of several partitions in one transaction, so that they share what it costs.

A transaction costs the same five messages and one wait for the disk whether it appends one event or a hundred. A
server whose commands concern many runs has commands of many partitions in hand at any moment; here they go together.
Only rows that nobody holds are taken, and none is waited for: a partition that somebody else is busy with keeps neither
the others waiting nor this transaction, and no two such transactions wait for each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from runfold_events.contract.commands import EraseRun
from runfold_events.contract.errors import Unavailable
from runfold_events.contract.submission import Outcome, Submission
from runfold_events.ledger import Ledger, creations_of, refusal_of, waves_of
from runfold_events.ports import SharingStore, Write
from runfold_events.work import Repeated, Work


class Sharing:
    """A second way into the ledger, for whoever can go another way with what it does not take."""

    def __init__(self, ledger: Ledger, store: SharingStore) -> None:
        """``store``: the ledger's own."""
        self._ledger = ledger
        self._store = store

    async def handle(self, submissions: Sequence[Submission]) -> list[Outcome | None]:
        """Handle what can be handled without waiting for others, and answer it as :meth:`Ledger.handle` does.

        None: nothing was done about this command, since somebody else holds the row of its partition, or since it is an
        erasure, which holds a row for longer. Either all commands of a partition that are not malformed get None, or
        none does.

        Raises:
            Unavailable: see :meth:`Ledger.handle`.
        """
        outcomes: list[Outcome | None] = [refusal_of(submission) for submission in submissions]
        open_indexes = [index for index, outcome in enumerate(outcomes) if outcome is None]
        partitions = self._store.partitions
        left_out = {
            submissions[index].partition(partitions)
            for index in open_indexes
            if isinstance(submissions[index].command, EraseRun)
        }
        begun: set[int] = set()
        for wave in waves_of(submissions, open_indexes, partitions):
            batches = {
                partition: [submissions[index] for index in indexes]
                for partition, indexes in wave.items()
                if partition not in left_out
            }
            answers = await self._commit(batches)
            for partition, batch in batches.items():
                if partition in answers:
                    begun.add(partition)
                elif partition in begun:  # somebody else came between two waves
                    answers[partition] = await self._ledger.handle_partition(partition, batch)
                else:
                    left_out.add(partition)
                    continue
                for index, outcome in zip(wave[partition], answers[partition], strict=True):
                    outcomes[index] = outcome
        return outcomes

    async def _commit(self, batches: Mapping[int, list[Submission]]) -> dict[int, list[Outcome]]:
        """One transaction; batches that the store cannot take together are parted until the one to blame is alone."""
        try:
            answers = await self._transact(batches)
        except Unavailable:
            raise
        except Exception:
            if len(batches) == 1:
                return {
                    number: await self._ledger.handle_partition(number, one)
                    for number, one in batches.items()
                }
            entries = list(batches.items())
            half = len(entries) // 2
            return await self._commit(dict(entries[:half])) | await self._commit(dict(entries[half:]))
        return {
            partition: await self._ledger.resolve(partition, found) for partition, found in answers.items()
        }

    async def _transact(self, batches: Mapping[int, list[Submission]]) -> dict[int, list[Outcome | Repeated]]:
        creations = creations_of([s for batch in batches.values() for s in batch])
        numbers = await self._store.reserve_numbers_of_new(creations) if creations else {}
        answers: dict[int, list[Outcome | Repeated]] = {}
        writes: dict[int, Write] = {}
        async with self._store.shared_transaction(batches) as transaction:
            taken = [s for partition in transaction.rows for s in batches[partition]]
            if not taken:
                return {}
            loaded = await transaction.load(*self._ledger.concerned(taken))
            for partition, row in transaction.rows.items():
                work = Work(self._store.epoch, row, loaded, self._ledger.ids, numbers)
                answers[partition] = [work.handle(submission) for submission in batches[partition]]
                if work.has_changes:
                    writes[partition] = work.write()
            if writes:
                await transaction.write(writes)
        return answers
