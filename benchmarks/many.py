"""A hundred thousand runs as a team leaves them behind: metrics, params, tags; and the pages that are asked of them."""

from __future__ import annotations

from typing import Final
from zlib import crc32

from msgspec import Struct

from runfold_events.contract.columns import Column
from runfold_events.contract.commands import ParamValue
from runfold_events.contract.envelope import MSGPACK
from runfold_events.contract.events import MetricsLogged, ParamsLogged
from runfold_events.contract.metrics import Series, encode_batch
from runfold_projections.testing.history import History

METRICS: Final = 20
PARAMS: Final = 10
TAGS: Final = 5
EXPERIMENTS: Final = 10
RARE_EVERY: Final = 1_000  # one run of so many has the rare tag


class Question(Struct, frozen=True):
    """A page that somebody asks for."""

    name: str
    order_by: str = "-created_at"
    filter: str | None = None
    experiment: str | None = None


QUESTIONS: Final = (
    Question("first page"),
    Question("first page of an experiment", experiment="e3"),
    Question("by a common tag and a metric", filter='tags.group = "g3" and metrics.m7 > 500'),
    Question("by a rare tag and a metric", filter='tags.rare = "1" and metrics.m7 > 0'),
    Question("sorted by a metric", order_by="-metrics.m3"),
    Question("by a common tag, sorted by a metric", order_by="-metrics.m3", filter='tags.group = "g3"'),
    Question("by a rare tag, sorted by a metric", order_by="metrics.m3", filter='tags.rare = "1"'),
    Question(
        "by a param and a metric, sorted by a metric", "metrics.m1", "params.p3 < 0.5 and metrics.m7 > 900"
    ),
    Question("of an experiment, sorted by a metric", order_by="-metrics.m3", experiment="e3"),
)


def run_id(number: int) -> str:
    """The id of a run by its number."""
    return f"run-{number:07}"


def write(history: History, first: int, count: int) -> None:
    """All that happened to some root runs, which have ended, as events."""
    for number in range(first, first + count):
        name = run_id(number)
        history.create(name, experiment=f"e{number % EXPERIMENTS}", tags=_tags(number))
        history.run(name, ParamsLogged(params=_params(number)))
        history.run(name, MetricsLogged(_metrics(number), MSGPACK))
        history.complete(name)


def _tags(number: int) -> dict[str, str | None]:
    rare: dict[str, str | None] = {"rare": "1"} if number % RARE_EVERY == 7 else {"other": str(number % 3)}
    common: dict[str, str | None] = {
        "group": f"g{number % 10}",
        "owner": f"user-{number * 7 % 40}",
        "commit": f"{number * 2_654_435_761 % 2**32:08x}",
        "note": "a run like many others",
    }
    return common | rare


def _params(number: int) -> dict[str, ParamValue]:
    numbers: dict[str, ParamValue] = {
        f"p{place}": _spread(number, place, 1_000) / 1_000 for place in range(PARAMS - 2)
    }
    return numbers | {"model": f"net-{number % 4}", "batch": 2 ** (number % 8)}


def _metrics(number: int) -> bytes:
    time_ms = Column(dtype="i64", values=[1_700_000_000_000 + number])
    step = Column(dtype="i64", values=[1])
    return encode_batch(
        [
            Series(
                name=f"m{place}",
                times=time_ms,
                steps=step,
                columns={
                    f"m{place}": Column(dtype="f64", values=[float(_spread(number, place, 100_000)) / 100])
                },
            )
            for place in range(METRICS)
        ]
    )


def _spread(number: int, place: int, below: int) -> int:
    """Numbers in no order, the same each time."""
    return crc32(f"{number}/{place}".encode()) % below
