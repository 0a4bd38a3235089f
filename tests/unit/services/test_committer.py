"""Natural batching: what queued while the last commit ran goes into the next one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from uuid import uuid4

import pytest

from runfold_events.contract.commands import CompleteRun
from runfold_events.contract.errors import NotFound, Unavailable
from runfold_events.contract.ids import partition_of
from runfold_events.contract.submission import Accepted, Actor, Outcome, Submission
from runfold_services.committer import SHARED_BYTES_MAX, SHARED_COMMANDS_MAX, Committer, Lanes, Queued


def command(name: str) -> Submission:
    return Submission(
        workspace="w",
        command=CompleteRun(run_id=name),
        writer_id=uuid4(),
        writer_seq=1,
        occurred_at=0,
        actor=Actor("a", "anonymous"),
        door="http",
    )


class SlowLedger:
    """Commits when it is let; answers each command with its run's id as token."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.may_commit = asyncio.Event()
        self.error: Exception | None = None

    async def submit(self, submissions: Sequence[Submission]) -> list[Outcome]:
        names = [submission.stream.rpartition("/")[2] for submission in submissions]
        self.batches.append(names)
        await self.may_commit.wait()
        if self.error is not None:
            raise self.error
        return [Accepted(token=name) for name in names]


async def settled() -> None:
    """Everything on the event loop that waits for nothing else has been done."""
    for _ in range(5):
        await asyncio.sleep(0)


def tokens(outcomes: Sequence[Outcome]) -> list[str | None]:
    return [outcome.token for outcome in outcomes]


def test_an_idle_committer_commits_at_once_and_a_busy_one_takes_all_that_queued() -> None:
    async def scenario() -> None:
        ledger = SlowLedger()
        committer = Committer(ledger.submit)
        first = asyncio.create_task(committer.submit([command("a")], 10))
        await settled()
        assert ledger.batches == [["a"]]
        rest = [
            asyncio.create_task(committer.submit([command(f"{name}1"), command(f"{name}2")], 10))
            for name in "bcd"
        ]
        await asyncio.sleep(0)
        ledger.may_commit.set()

        assert tokens(await first) == ["a"]
        assert [tokens(await task) for task in rest] == [["b1", "b2"], ["c1", "c2"], ["d1", "d2"]]
        assert ledger.batches == [["a"], ["b1", "b2", "c1", "c2", "d1", "d2"]]

    asyncio.run(scenario())


def test_a_batch_is_bounded_by_commands_and_bytes_and_a_request_is_never_torn() -> None:
    async def scenario(sizes: list[int], commands_max: int, bytes_max: int) -> list[list[str]]:
        ledger = SlowLedger()
        committer = Committer(ledger.submit, batch_commands_max=commands_max, batch_bytes_max=bytes_max)
        tasks = [
            asyncio.create_task(committer.submit([command(f"{i}a"), command(f"{i}b")], size))
            for i, size in enumerate(sizes)
        ]
        await asyncio.sleep(0)
        ledger.may_commit.set()
        await asyncio.gather(*tasks)
        return ledger.batches

    by_count = asyncio.run(scenario([1, 1, 1, 1], commands_max=5, bytes_max=1_000))
    assert by_count == [["0a", "0b", "1a", "1b"], ["2a", "2b", "3a", "3b"]]
    by_bytes = asyncio.run(scenario([1, 60, 60, 500], commands_max=100, bytes_max=100))
    assert by_bytes == [["0a", "0b", "1a", "1b"], ["2a", "2b"], ["3a", "3b"]]


def test_a_full_queue_refuses_and_says_when_to_come_again() -> None:
    async def scenario() -> None:
        ledger = SlowLedger()
        committer = Committer(ledger.submit, queued=Queued(commands_max=2, bytes_max=100))
        running = asyncio.create_task(committer.submit([command("a")], 1))
        await settled()
        queued = asyncio.create_task(committer.submit([command("b")], 1))
        await asyncio.sleep(0)

        with pytest.raises(Unavailable) as by_count:
            await committer.submit([command("c"), command("d")], 1)
        with pytest.raises(Unavailable) as by_bytes:
            await committer.submit([command("c")], 100)
        assert by_count.value.retry_after > 0
        assert by_bytes.value.facts["queued_commands"] == 1
        ledger.may_commit.set()
        await asyncio.gather(running, queued)
        assert tokens(await committer.submit([command("e")], 1_000)) == ["e"], (
            "an empty queue takes any request"
        )
        assert ["c"] not in ledger.batches

    asyncio.run(scenario())


@pytest.mark.parametrize("error", [Unavailable("locked"), ValueError("a bug")])
def test_a_commit_that_fails_fails_for_all_of_its_requests_and_the_next_one_runs(error: Exception) -> None:
    async def scenario() -> None:
        ledger = SlowLedger()
        ledger.error = error
        ledger.may_commit.set()
        committer = Committer(ledger.submit)
        both = [committer.submit([command("a")], 1), committer.submit([command("b")], 1)]
        assert [type(e) for e in await asyncio.gather(*both, return_exceptions=True)] == [type(error)] * 2
        ledger.error = None
        assert tokens(await committer.submit([command("c")], 1)) == ["c"]

    asyncio.run(scenario())


def test_a_missing_outcome_is_never_passed_on_as_an_answer() -> None:
    async def scenario() -> None:
        async def forgetful(submissions: Sequence[Submission]) -> list[Outcome]:
            return [Accepted(token="t")]

        with pytest.raises(RuntimeError, match="2 commands got 1 outcomes"):
            await Committer(forgetful).submit([command("a"), command("b")], 1)

    asyncio.run(scenario())


def test_a_caller_that_goes_away_does_not_take_its_commands_along() -> None:
    async def scenario() -> None:
        ledger = SlowLedger()
        committer = Committer(ledger.submit)
        running = asyncio.create_task(committer.submit([command("a")], 1))
        await asyncio.sleep(0)
        leaving = asyncio.create_task(committer.submit([command("b")], 1))
        staying = asyncio.create_task(committer.submit([command("c")], 1))
        await asyncio.sleep(0)
        leaving.cancel()
        ledger.may_commit.set()
        await asyncio.gather(running, staying)
        assert [name for batch in ledger.batches for name in batch] == ["a", "b", "c"]

    asyncio.run(scenario())


def test_closing_commits_what_was_queued_and_takes_nothing_more() -> None:
    async def scenario() -> None:
        ledger = SlowLedger()
        committer = Committer(ledger.submit)
        queued = [asyncio.create_task(committer.submit([command(name)], 1)) for name in "ab"]
        await asyncio.sleep(0)
        closing = asyncio.create_task(committer.close())
        await asyncio.sleep(0)
        with pytest.raises(Unavailable, match="stopping"):
            await committer.submit([command("c")], 1)
        ledger.may_commit.set()
        await closing
        assert [tokens(await task) for task in queued] == [["a"], ["b"]]

    asyncio.run(scenario())


def test_a_commit_is_told_to_whoever_folds_and_a_failed_one_is_not() -> None:
    async def scenario() -> None:
        told: list[int] = []
        ledger = SlowLedger()
        ledger.may_commit.set()
        committer = Committer(ledger.submit, on_commit=told.append)
        await committer.submit([command("a")], 1)
        ledger.error = NotFound("no")
        with pytest.raises(NotFound):
            await committer.submit([command("b")], 1)
        assert told == [1]

    asyncio.run(scenario())


def test_senders_that_were_answered_together_are_committed_together_again() -> None:
    async def scenario() -> None:
        ledger = SlowLedger()
        committer = Committer(ledger.submit)
        running = [asyncio.create_task(committer.submit([command(name)], 1)) for name in "abc"]
        await asyncio.sleep(0.02)  # so long the commit takes, and a part of that the next one may wait
        ledger.may_commit.set()
        await asyncio.gather(*running)
        again: list[asyncio.Task[list[Outcome]]] = []
        for name in "def":
            again.append(asyncio.create_task(committer.submit([command(name)], 1)))
            await asyncio.sleep(0)  # one after the other
        await asyncio.gather(*again)
        assert ledger.batches == [["a", "b", "c"], ["d", "e", "f"]]

    asyncio.run(scenario())


def test_who_does_not_come_again_is_not_waited_for_long_and_a_lone_sender_never() -> None:
    async def scenario() -> None:
        ledger = SlowLedger()
        committer = Committer(ledger.submit)
        running = [asyncio.create_task(committer.submit([command(name)], 1)) for name in "abc"]
        await asyncio.sleep(0.02)
        ledger.may_commit.set()
        await asyncio.gather(*running)
        assert tokens(await committer.submit([command("d")], 1)) == ["d"]
        await settled()
        assert committer.is_idle, "after one alone nobody is waited for"
        assert ledger.batches == [["a", "b", "c"], ["d"]]

    asyncio.run(scenario())


def test_the_next_commit_begins_beside_the_last_one_once_it_is_as_large() -> None:
    async def scenario(at_once_max: int) -> list[list[str]]:
        ledger = SlowLedger()
        committer = Committer(ledger.submit, at_once_max=at_once_max)
        tasks = [asyncio.create_task(committer.submit([command(name)], 1)) for name in "abc"]
        await settled()
        for name in "defgh":
            tasks.append(asyncio.create_task(committer.submit([command(name)], 1)))
            await settled()
        batches = list(ledger.batches)
        ledger.may_commit.set()
        await asyncio.gather(*tasks)
        assert sum(map(len, ledger.batches)) == len(tasks)
        return batches

    assert asyncio.run(scenario(1)) == [["a", "b", "c"]]
    assert asyncio.run(scenario(2)) == [["a", "b", "c"], ["d", "e", "f"]]


def test_many_requests_are_shared_out_so_that_some_are_committed_while_others_are_answered() -> None:
    async def scenario(at_once_max: int, names: str) -> list[str]:
        ledger = SlowLedger()
        committer = Committer(ledger.submit, at_once_max=at_once_max)
        tasks = [asyncio.create_task(committer.submit([command(name)], 1)) for name in names]
        await settled()
        begun = ["".join(batch) for batch in ledger.batches]
        ledger.may_commit.set()
        assert [tokens(outcomes) for outcomes in await asyncio.gather(*tasks)] == [[name] for name in names]
        return begun

    assert asyncio.run(scenario(1, "abcdefghi")) == ["abcdefghi"]
    assert asyncio.run(scenario(2, "abcdefghi")) == ["abcd", "efghi"]
    assert asyncio.run(scenario(2, "abcdefgh")) == ["abcd", "efgh"]
    assert asyncio.run(scenario(2, "abcdefg")) == ["abcdefg"], "too few to be worth two commits"


def test_who_closes_waits_for_all_commits_under_way() -> None:
    async def scenario() -> None:
        ledger = SlowLedger()
        committer = Committer(ledger.submit, at_once_max=2)
        tasks = [asyncio.create_task(committer.submit([command("a")], 1))]
        await settled()
        tasks.append(asyncio.create_task(committer.submit([command("b")], 1)))
        await settled()
        closing = asyncio.create_task(committer.close())
        await settled()
        assert ledger.batches == [["a"], ["b"]]
        assert not closing.done()
        ledger.may_commit.set()
        await closing
        assert [tokens(await task) for task in tasks] == [["a"], ["b"]]

    asyncio.run(scenario())


def test_who_closes_does_not_wait_for_senders_to_come_again() -> None:
    async def scenario() -> None:
        ledger = SlowLedger()
        ledger.may_commit.set()
        committer = Committer(ledger.submit)
        await asyncio.gather(*(committer.submit([command(name)], 1) for name in "abc"))
        await committer.close()
        assert committer.is_idle

    asyncio.run(scenario())


PARTITIONS = 4


def in_partition(number: int, name: str = "r") -> str:
    """A run of a partition."""
    names = (f"{name}{index}" for index in range(1_000))
    return next(n for n in names if partition_of(command(n).stream, PARTITIONS) == number)


class SharedLedger(SlowLedger):
    """Two ways in. The one that does not wait leaves out what ``held`` names."""

    def __init__(self) -> None:
        super().__init__()
        self.held: set[str] = set()
        self.shared: list[list[str]] = []
        self.may_share = asyncio.Event()
        self.may_share.set()

    async def submit_free(self, submissions: Sequence[Submission]) -> list[Outcome | None]:
        names = [submission.stream.rpartition("/")[2] for submission in submissions]
        self.shared.append(names)
        await self.may_share.wait()
        return [None if name in self.held else Accepted(token=name) for name in names]


def test_small_requests_share_a_lane_and_what_is_held_waits_in_its_own() -> None:
    async def scenario() -> None:
        ledger = SharedLedger()
        committed: list[int] = []
        lanes = Lanes(ledger.submit, PARTITIONS, submit_free=ledger.submit_free, on_commit=committed.append)
        runs = [in_partition(number) for number in range(PARTITIONS)]
        ledger.held = {runs[1]}
        sent = [asyncio.create_task(lanes.submit([command(run)], 1)) for run in runs]
        _, waiting = await asyncio.wait(sent, timeout=0.05)
        assert ledger.shared == [runs]
        assert waiting == {sent[1]}
        assert ledger.batches == [[runs[1]]]
        assert lanes.queued.commands == 0

        other = in_partition(1, "other")
        sent.append(asyncio.create_task(lanes.submit([command(other)], 1)))
        await asyncio.sleep(0)
        ledger.may_commit.set()
        assert [tokens(await task) for task in sent] == [[run] for run in [*runs, other]]
        assert ledger.shared == [runs], "behind what waits for its partition, a request waits for it too"
        assert committed == [3, 1, 1]
        await lanes.close()

    asyncio.run(scenario())


def test_large_requests_and_those_of_several_partitions_do_not_share() -> None:
    async def scenario() -> None:
        ledger = SharedLedger()
        ledger.may_commit.set()
        lanes = Lanes(ledger.submit, PARTITIONS, submit_free=ledger.submit_free)
        run, other = in_partition(0), in_partition(1)
        await lanes.submit([command(run)], SHARED_BYTES_MAX + 1)
        await lanes.submit([command(run)] * (SHARED_COMMANDS_MAX + 1), 1)
        await lanes.submit([command(run), command(other)], 1)
        assert ledger.shared == []
        await lanes.submit([command(run)] * SHARED_COMMANDS_MAX, SHARED_BYTES_MAX)
        assert len(ledger.shared) == 1
        await lanes.close()

    asyncio.run(scenario())


def test_what_turns_out_to_be_held_while_the_server_stops_is_committed_all_the_same() -> None:
    async def scenario() -> None:
        ledger = SharedLedger()
        ledger.may_share.clear()
        lanes = Lanes(ledger.submit, PARTITIONS, submit_free=ledger.submit_free)
        run = in_partition(2)
        ledger.held = {run}
        sent = asyncio.create_task(lanes.submit([command(run)], 1))
        await asyncio.sleep(0)
        closing = asyncio.create_task(lanes.close())
        await asyncio.sleep(0)
        ledger.may_share.set()
        ledger.may_commit.set()
        assert tokens(await sent) == [run]
        await closing
        with pytest.raises(Unavailable, match="stopping"):
            await lanes.submit([command(run)], 1)

    asyncio.run(scenario())
