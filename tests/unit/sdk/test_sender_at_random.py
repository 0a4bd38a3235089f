"""Random work over a wire that fails at random: whatever happens, everything arrives once and in order."""

from __future__ import annotations

import random
from typing import Any

import pytest

from runfold import _journal
from runfold._journal import Pending
from runfold._transport import Answer, Batch
from runfold_events.contract import commands as c
from runfold_events.contract.errors import Invalid, RunfoldError, Unavailable
from runfold_events.contract.submission import Accepted
from tests.support.sdk import Desk, Submit, lose_answer, lose_request
from tests.support.sdk_model import DeliveryModel

RUNS = ("a", "b", "c")


def hiccup(chance: random.Random) -> Any:
    """What may happen to a request."""

    def too_large(batch: Batch, submit: Submit) -> Answer:
        if len(batch.items) > 1:
            raise Invalid("the request is too large")
        return submit(batch)

    def half_done(batch: Batch, submit: Submit) -> Answer:
        """Some of it is committed, then the server dies."""
        middle = chance.randint(0, len(batch.items))
        submit(Batch(workspace=batch.workspace, writer_id=batch.writer_id, items=batch.items[:middle]))
        raise Unavailable("died in the middle")

    return chance.choice([lose_request, lose_answer, half_done, too_large])


@pytest.mark.parametrize("seed", range(25))
def test_everything_arrives_once_and_in_order(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(seed)
    monkeypatch.setattr(_journal, "JOURNAL_CELLS_MAX", chance.choice([20, 1_000]))
    desk, model = Desk(), DeliveryModel()
    streams = {run_id: desk.run(run_id) for run_id in RUNS}
    waiting: list[tuple[Pending, bool]] = []
    desk.deliver()
    for _ in range(150):
        run_id = chance.choice(RUNS)
        stream = streams[run_id]
        match chance.randint(0, 9):
            case 0 | 1 | 2 | 3:
                values = [chance.random() for _ in range(chance.randint(1, 8))]
                before = stream.lost_values
                desk.log(stream, "loss", *values)
                model.log(run_id, values, stream.lost_values - before)
            case 4:
                desk.put(stream, c.SetTags(run_id=run_id, tags={"n": str(_)}))
                model.tag(run_id, str(_))
            case 5:
                key, value = chance.choice("pq"), chance.choice("12")
                command = c.AddProperties(run_id=run_id, properties={key: value})
                waiting.append((desk.put(stream, command, waited=True), model.property(run_id, key, value)))
            case 6 | 7:
                desk.wire.faults.append(hiccup(chance))
            case _:
                desk.now_s += desk.sender.wait_s()
                desk.sender.deliver()
    desk.deliver(requests_max=2_000)

    for pending, is_accepted in waiting:
        assert isinstance(pending.outcome, Accepted if is_accepted else RunfoldError)
    for run_id in RUNS:
        view = desk.wire.run("w", run_id, None)
        assert desk.values(run_id, "loss") == model.values[run_id]
        assert view.tags == model.tags[run_id]
        assert view.properties == model.properties[run_id]
        assert view.lost_values == model.lost[run_id]
        (mark,) = desk.wire.writers("w", run_id)
        assert mark.highest == streams[run_id].next_seq - 1
        assert mark.gaps == ()
        assert streams[run_id].rejections == []
    assert desk.journal.cells == 0
    desk.wire.close()
