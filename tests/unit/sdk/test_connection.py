"""One process and its store: calls and outages, questions, leases, the end."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from uuid import UUID

import pytest

from runfold import _journal
from runfold._connection import Connection
from runfold._leases import interrupt_main_thread
from runfold._spool import Place
from runfold._streams import Series, Stream
from runfold._transport import Answer, Batch, Item
from runfold_events.contract import commands as c
from runfold_events.contract.errors import (
    Conflict,
    Invalid,
    NotFound,
    PositionNotReached,
    PropertyImmutable,
    Unavailable,
)
from runfold_events.contract.statuses import Status
from runfold_events.contract.submission import Accepted
from runfold_events.contract.tokens import Token, parse_token
from runfold_projections.model import RunView
from tests.support.sdk import Submit, Wire, connection_over, lose_answer, lose_request

QUICK_S = 0.5


@pytest.fixture
def wire() -> Iterator[Wire]:
    wire = Wire()
    yield wire
    wire.keeps_open = False
    wire.close()


@pytest.fixture
def connection(wire: Wire) -> Iterator[Connection]:
    connection = connection_over(wire, outage_wait_s=QUICK_S)
    yield connection
    wire.is_gone = False
    connection.close()


@pytest.fixture
def run(connection: Connection) -> Stream:
    """A run that this process has created and holds."""
    connection.call(connection.experiment_stream("w", "e"), c.EnsureExperiment(experiment="e"))
    stream = connection.run_stream("w", "a")
    connection.call(stream, c.CreateRun(run_id="a", experiment="e"))
    return stream


def view(connection: Connection, run_id: str = "a") -> RunView:
    return connection.ask(lambda transport, at: transport.run("w", run_id, at))


def log(connection: Connection, stream: Stream, value: float) -> None:
    series = stream.series.setdefault(("loss", "scalar"), Series(stream, "loss", "scalar"))
    connection.journal.add(series, None, value)


# ── calls ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_call_returns_what_the_ledger_answered(connection: Connection, run: Stream) -> None:
    accepted = connection.call(run, c.SetTags(run_id="a", tags={"k": "v"}))

    assert isinstance(accepted, Accepted)
    assert [event.type for event in accepted.events] == ["run.tags_set"]
    assert view(connection).tags == {"k": "v"}


def test_a_refusal_raises_in_the_call_that_asked_for_it(connection: Connection, run: Stream) -> None:
    connection.call(run, c.AddProperties(run_id="a", properties={"p": "1"}))
    with pytest.raises(PropertyImmutable) as caught:
        connection.call(run, c.AddProperties(run_id="a", properties={"p": "2"}))

    assert caught.value.facts["current"] == "1"
    assert run.rejections == []


def test_what_cannot_be_sent_is_refused_before_it_is_queued(connection: Connection, run: Stream) -> None:
    with pytest.raises(Invalid):
        connection.call(run, c.SetTags(run_id="a", tags={"k": "\x00"}))
    with pytest.raises(Invalid):
        connection.call(run, c.SetTags(run_id="a", tags={"\ud800": "v"}))

    assert view(connection).rejections == 0


def test_the_first_refusal_of_several_calls_is_raised_and_the_others_take_effect(
    connection: Connection, run: Stream
) -> None:
    other = connection.run_stream("w", "b")
    with pytest.raises(NotFound):
        connection.call_all(
            [
                (run, c.SetTags(run_id="a", tags={"k": "v"})),
                (other, c.SetTags(run_id="b", tags={"k": "v"})),
                (run, c.SetTags(run_id="a", tags={"l": "v"})),
            ]
        )

    assert view(connection).tags == {"k": "v", "l": "v"}


def test_calls_of_many_threads_each_get_their_own_outcome(connection: Connection, run: Stream) -> None:
    failed: list[str] = []

    def work(name: str) -> None:
        for n in range(10):
            connection.call(run, c.AddProperties(run_id="a", properties={f"{name}{n}": name}))
            try:
                connection.call(run, c.AddProperties(run_id="a", properties={f"{name}{n}": "other"}))
            except PropertyImmutable as error:
                failed.append(error.facts["key"])

    threads = [threading.Thread(target=work, args=(name,)) for name in "pqrs"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    expected = [f"{name}{n}" for name in "pqrs" for n in range(10)]
    assert sorted(failed) == expected
    assert sorted(view(connection).properties) == expected


# ── outages ───────────────────────────────────────────────────────────────────────────────────────────────


def test_a_short_outage_is_not_noticed(connection: Connection, run: Stream, wire: Wire) -> None:
    wire.faults.extend([lose_request, lose_answer])

    assert connection.call(run, c.SetTags(run_id="a", tags={"k": "v"})) is not None


def test_in_an_outage_the_first_call_waits_and_the_following_ones_do_not(
    connection: Connection, run: Stream, wire: Wire
) -> None:
    wire.is_gone = True
    started = time.monotonic()
    first = connection.call(run, c.SetTags(run_id="a", tags={"n": "1"}))
    waited = time.monotonic() - started
    second = connection.call(run, c.SetTags(run_id="a", tags={"n": "2"}))
    third = connection.call(run, c.CompleteRun(run_id="a"))
    waited_more = time.monotonic() - started - waited

    assert (first, second, third) == (None, None, None)
    assert QUICK_S <= waited < QUICK_S + 1
    assert waited_more < QUICK_S
    wire.is_gone = False
    assert connection.flush(10)
    assert view(connection).tags == {"n": "2"}
    assert view(connection).status is Status.COMPLETED


def test_the_next_outage_has_a_first_call_again(connection: Connection, run: Stream, wire: Wire) -> None:
    for _ in range(2):
        wire.is_gone = True
        started = time.monotonic()
        connection.call(run, c.SetTags(run_id="a", tags={"n": "1"}))
        assert time.monotonic() - started >= QUICK_S
        wire.is_gone = False
        assert connection.flush(10)


def test_a_server_that_takes_requests_and_never_answers_is_gone_too(
    connection: Connection, run: Stream, wire: Wire
) -> None:
    answer = threading.Event()

    def hang(batch: Batch, submit: Submit) -> Answer:
        assert answer.wait(10)
        return submit(batch)

    wire.patience_s = QUICK_S
    wire.faults.append(hang)
    started = time.monotonic()
    assert connection.call(run, c.SetTags(run_id="a", tags={"n": "1"})) is None
    assert connection.call(run, c.SetTags(run_id="a", tags={"n": "2"})) is None
    assert time.monotonic() - started < QUICK_S + 1
    answer.set()
    assert connection.flush(10)
    assert view(connection).tags == {"n": "2"}


def test_a_question_does_not_answer_without_what_is_queued(
    connection: Connection, run: Stream, wire: Wire
) -> None:
    wire.is_gone = True
    connection.call(run, c.SetTags(run_id="a", tags={"k": "v"}))
    with pytest.raises(Unavailable) as caught:
        view(connection)

    assert caught.value.facts["undelivered_commands"] == 1
    wire.is_gone = False
    assert connection.flush(10)
    assert view(connection).tags == {"k": "v"}


def test_a_refusal_that_comes_after_the_outage_is_kept(
    connection: Connection, run: Stream, wire: Wire
) -> None:
    connection.call(run, c.AddProperties(run_id="a", properties={"p": "1"}))
    wire.is_gone = True
    connection.call(run, c.AddProperties(run_id="a", properties={"p": "2"}))
    wire.is_gone = False
    assert connection.flush(10)

    assert [rejection.code for rejection in run.rejections] == ["property_immutable"]


def test_strict_raises_and_takes_back_what_was_not_sent(
    connection: Connection, run: Stream, wire: Wire
) -> None:
    wire.is_gone = True
    with pytest.raises(Unavailable):
        connection.call(run, c.SetTags(run_id="a", tags={"sent": "maybe"}), strict=True)
    with pytest.raises(Unavailable, match="it was not sent"):
        connection.call(run, c.SetTags(run_id="a", tags={"never": "sent"}), strict=True)
    wire.is_gone = False
    assert connection.flush(10)

    assert "never" not in view(connection).tags


def test_so_many_commands_wait_and_no_more(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_journal, "COMMANDS_BYTES_MAX", 0)
    connection = connection_over(wire, outage_wait_s=QUICK_S, place=Place(bytes_max=300_000))
    run = connection.run_stream("w", "a")
    wire.is_gone = True
    tag = c.SetTags(run_id="a", tags={"n": "x" * 5_000})

    def call_again_and_again() -> None:
        for _ in range(60):
            connection.call(run, tag)

    with pytest.raises(Unavailable, match="wait already"):
        call_again_and_again()
    wire.is_gone = False
    connection.close()


def test_flush_says_when_it_took_too_long(connection: Connection, run: Stream, wire: Wire) -> None:
    wire.is_gone = True
    log(connection, run, 1.0)

    assert not connection.flush(QUICK_S)
    wire.is_gone = False
    assert connection.flush(10)
    assert view(connection).metrics["loss"].latest == 1.0


def test_a_question_about_values_in_a_known_outage_does_not_wait_long(
    connection: Connection, run: Stream, wire: Wire
) -> None:
    wire.is_gone = True
    connection.call(run, c.SetTags(run_id="a", tags={"k": "v"}))
    log(connection, run, 1.0)
    started = time.monotonic()
    with pytest.raises(Unavailable, match="not delivered yet"):
        connection.deliver_values(30.0)

    assert time.monotonic() - started < QUICK_S


def test_the_first_call_of_an_outage_does_not_wait_for_the_back_off(
    connection: Connection, run: Stream, wire: Wire
) -> None:
    """The outage began with values that nobody waited for; meanwhile the server is back."""
    wire.is_gone = True
    log(connection, run, 1.0)
    while connection.sender.wait_s() < 3 * QUICK_S:  # until the back-off is longer than any call waits
        time.sleep(0.01)
    wire.is_gone = False

    assert connection.call(run, c.SetTags(run_id="a", tags={"k": "v"})) is not None


def test_a_handler_of_our_own_log_lines_may_use_a_run(
    connection: Connection, run: Stream, wire: Wire
) -> None:
    class Recorder(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            connection.call(run, c.SetTags(run_id="a", tags={"told": record.getMessage()[:40]}))

    logger, recorder = logging.getLogger("runfold"), Recorder()
    logger.addHandler(recorder)
    try:
        wire.faults.append(lose_request)
        connection.call(run, c.SetTags(run_id="a", tags={"k": "v"}))
        assert connection.flush(10)
    finally:
        logger.removeHandler(recorder)

    assert set(view(connection).tags) == {"k", "told"}


def test_an_interrupted_call_goes_on_without_its_caller(
    connection: Connection, run: Stream, wire: Wire
) -> None:
    connection.call(run, c.AddProperties(run_id="a", properties={"p": "1"}))
    wire.is_gone = True
    threading.Timer(QUICK_S / 2, interrupt_main_thread).start()
    with pytest.raises(KeyboardInterrupt):
        connection.call(run, c.AddProperties(run_id="a", properties={"p": "2"}))
    wire.is_gone = False
    assert connection.flush(10)

    assert [rejection.code for rejection in run.rejections] == ["property_immutable"]


# ── values ────────────────────────────────────────────────────────────────────────────────────────────────


def test_values_are_sent_without_being_asked_for(connection: Connection, run: Stream) -> None:
    log(connection, run, 1.0)
    deadline = time.monotonic() + 10
    while not connection.sender.is_idle and time.monotonic() < deadline:
        time.sleep(0.005)

    assert view(connection).metrics["loss"].latest == 1.0


def test_deliveries_that_nobody_asked_for_are_apart(run: Stream, wire: Wire) -> None:
    """The first values of a connection need only gather for a moment, what follows waits for its turn."""
    connection = Connection(lambda: wire, linger_s=60.0)
    try:
        stream = connection.run_stream("w", "a")
        log(connection, stream, 1.0)
        deadline = time.monotonic() + 10
        while not connection.sender.is_idle and time.monotonic() < deadline:
            time.sleep(0.005)
        delivered = len(wire.batches)
        for n in range(50):
            log(connection, stream, float(n))
            time.sleep(0.005)

        assert view(connection).metrics["loss"].count == 1
        assert len(wire.batches) == delivered
        assert connection.flush(30)
        assert len(wire.batches) == delivered + 1
        assert view(connection).metrics["loss"].count == 51
    finally:
        wire.keeps_open = True
        connection.close()
        wire.keeps_open = False


def test_values_that_wait_for_their_turn_wake_nobody(run: Stream, wire: Wire) -> None:
    """The thread knows when it may deliver again, and looks then."""
    connection = Connection(lambda: wire, linger_s=1.0)
    try:
        stream = connection.run_stream("w", "a")
        log(connection, stream, 1.0)
        deadline = time.monotonic() + 10
        while not (connection.sender.is_idle and connection.journal.awake) and time.monotonic() < deadline:
            time.sleep(0.001)
        assert connection.journal.awake  # so whoever logs tells nobody
        log(connection, stream, 2.0)
        while not connection.sender.is_idle and time.monotonic() < deadline:
            time.sleep(0.005)

        assert view(connection).metrics["loss"].count == 2
    finally:
        wire.keeps_open = True
        connection.close()
        wire.keeps_open = False


def test_values_of_many_threads_all_arrive(connection: Connection, run: Stream) -> None:
    def work() -> None:
        for n in range(2_000):
            log(connection, run, float(n))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert connection.flush(30)

    assert view(connection).metrics["loss"].count == 8_000


# ── positions ─────────────────────────────────────────────────────────────────────────────────────────────


def test_positions_are_merged_and_sent_with_questions(connection: Connection, run: Stream) -> None:
    before = parse_token(connection.token or "")
    connection.call(run, c.SetTags(run_id="a", tags={"k": "v"}))
    after = parse_token(connection.token or "")

    assert after.ends[0] == before.ends[0] + 1


def test_a_position_of_another_epoch_is_forgotten(connection: Connection, run: Stream) -> None:
    connection.token = str(Token(UUID(int=1), {0: 99}))
    assert view(connection).run_id == "a"
    assert connection.token is None


def test_views_that_are_behind_are_an_error(connection: Connection, run: Stream, wire: Wire) -> None:
    token = parse_token(connection.token or "")
    connection.token = str(Token(token.epoch, {0: 99}))
    with pytest.raises(PositionNotReached):
        view(connection)


# ── leases ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_lease_comes_before_the_first_run_that_is_held(run: Stream, wire: Wire) -> None:
    assert [writer for writer, _ in wire.heartbeats] == [wire.batches[0].writer_id]
    assert [batch.hold for batch in wire.batches] == [False, True]
    assert run.held


def test_attaching_holds_nothing(wire: Wire) -> None:
    connection = connection_over(wire)
    connection.call(connection.experiment_stream("w", "e"), c.EnsureExperiment(experiment="e"))

    assert wire.heartbeats == []
    connection.close()


def test_leaving_without_an_end_is_noticed_at_once(wire: Wire) -> None:
    connection = connection_over(wire)
    connection.call(connection.experiment_stream("w", "e"), c.EnsureExperiment(experiment="e"))
    connection.call(connection.run_stream("w", "a"), c.CreateRun(run_id="a", experiment="e"))
    wire.keeps_open = True
    connection.close()

    assert wire.run("w", "a", None).status is Status.NOT_RESPONDING
    assert len(wire.released) == 1


def test_what_was_not_delivered_at_the_end_is_announced(
    connection: Connection, run: Stream, wire: Wire
) -> None:
    log(connection, run, 1.0)
    assert connection.flush(10)
    run_writer = run.writer_id
    wire.faults.extend([lose_request] * 1_000)
    wire.keeps_open = True
    log(connection, run, 2.0)
    log(connection, run, 3.0)
    connection.call(run, c.SetTags(run_id="a", tags={"k": "v"}))

    left = connection.close()
    assert (left.values, left.commands) == (2, 1)
    (mark,) = [mark for mark in wire.writers("w", "a") if mark.writer_id == run_writer]
    assert (mark.highest, mark.announced) == (2, 4)


def test_a_holder_hears_of_a_cancel_request(connection: Connection, run: Stream, wire: Wire) -> None:
    wire.submit(Batch(workspace="w", writer_id=UUID(int=7), items=_items(c.RequestCancel(run_id="a"))))
    connection.leases._due_at = 0.0  # pyright: ignore[reportPrivateUsage]
    connection.call(run, c.SetTags(run_id="a", tags={"k": "v"}))

    assert run.cancel_requested


def test_a_refused_creation_does_not_bar_the_way_to_the_run(
    connection: Connection, run: Stream, wire: Wire
) -> None:
    other = connection_over(wire)
    wire.keeps_open = True
    stream = other.run_stream("w", "a")
    with pytest.raises(Conflict):
        other.call(stream, c.CreateRun(run_id="a", experiment="e", display_name="mine"))
    other.call(stream, c.SetTags(run_id="a", tags={"k": "v"}))
    other.call(stream, c.CreateRun(run_id="a", experiment="e", resume=True))

    assert view(connection).tags == {"k": "v"}
    assert stream.held
    assert stream.writer_id != other.writer_id
    other.close()


def _items(command: c.Command) -> list[Item]:
    return [Item(command, 1, 0)]
