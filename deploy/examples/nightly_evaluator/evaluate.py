"""Evaluate last night's predictions, and record the evaluation as a run.

The predictions are a CSV file with the columns ``label`` (0 or 1) and ``score`` (0 to 1). A night is evaluated once: to
start again is harmless, and to come back with other data is refused, since what a run was made from never changes.

Exit codes: 0 recorded, 1 refused, 2 nobody answered.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import math
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid5

from runfold_sender import NotAnswered, NotRecorded, Reply, Sender

OURS: Final = UUID("6f6a7b0e-3c55-4c47-9d0e-5f2a30b0c9a1")  # the namespace of this service's writers
EXPERIMENT: Final = "nightly-evaluation"
ROWS_PER_POINT: Final = 50
SURE: Final = 1e-15  # a score nearer to 0 or 1 would make the loss infinite
DONE, REFUSED, NOBODY_ANSWERS = 0, 1, 2


class Refused(Exception):
    """A rule refused what we asked."""


@dataclass(frozen=True)
class Evaluation:
    """What one night's predictions give: a point for every ``ROWS_PER_POINT`` rows so far."""

    sha256: str
    rows: int
    accuracy: tuple[float, ...]
    log_loss: tuple[float, ...]


def main(arguments: Sequence[str] | None = None) -> int:
    """Evaluate and record."""
    options = _options(arguments)
    run_id = f"{options.model}-{options.night:%Y-%m-%d}"
    sender: Sender | None = None
    try:
        evaluation = evaluate(options.predictions)
        # The same night with the same data is the same sender, whichever process does it: its commands have the same
        # numbers and the same content, so starting again completes what is missing and repeats nothing.
        writer_id = uuid5(OURS, f"{options.workspace}/{run_id}/{evaluation.sha256}")
        sender = Sender(
            options.kafka,
            workspace=options.workspace,
            writer_id=writer_id,
            reply_topic=options.reply_topic,
            commands_topic=options.commands_topic,
            settings=dict(setting.split("=", 1) for setting in options.set),
            answer_s=options.answer_s,
            tries=options.tries,
        )
        record(sender, run_id, options.night, evaluation)
    except (Refused, NotRecorded) as error:
        print(f"refused: {error}", file=sys.stderr)
        return REFUSED
    except NotAnswered as error:
        print(error, file=sys.stderr)
        return NOBODY_ANSWERS
    finally:
        if sender is not None:
            sender.close()
    print(f"{run_id}: accuracy {evaluation.accuracy[-1]:.4f}, log loss {evaluation.log_loss[-1]:.4f}")
    return DONE


def record(sender: Sender, run_id: str, night: date, evaluation: Evaluation) -> None:
    """Record an evaluation; raises :class:`Refused` where a rule says no."""
    # What a command names must exist: by Kafka the sender waits for the experiment and for the run.
    _tell(sender.send(sender.on_experiment(EXPERIMENT, "experiment.ensure")))
    tags = {"night": night.isoformat()}
    _tell(sender.send(sender.on_run(run_id, "run.create", experiment=EXPERIMENT, tags=tags)))
    # Properties never change. Other data under this name is refused here, before anything else is said of the run.
    made_from = {"predictions_sha256": evaluation.sha256}
    _tell(sender.send(sender.on_run(run_id, "run.add_properties", properties=made_from)))
    _tell(
        sender.send(
            sender.on_run(run_id, "run.log_params", params={"rows": evaluation.rows}),
            sender.metrics(run_id, list(_series(night, evaluation))),
            sender.on_run(run_id, "run.complete"),
        )
    )


def _tell(replies: Sequence[Reply]) -> None:
    for reply in replies:
        if not reply.is_accepted:
            raise Refused(f"{reply.message} ({reply.code})")
        print(f"{reply.outcome}{' before' if reply.repeated else ''}: {', '.join(reply.events) or '-'}")


def _series(night: date, evaluation: Evaluation) -> Iterator[dict[str, Any]]:
    """Columns of points. Times come from the night, so that a repetition has the same bytes."""
    begin_ms = round(datetime(night.year, night.month, night.day, tzinfo=UTC).timestamp() * 1_000)
    for name, values in (("accuracy", evaluation.accuracy), ("log_loss", evaluation.log_loss)):
        count = len(values)
        yield {
            "name": name,
            "times": {"dtype": "i64", "values": [begin_ms + step for step in range(count)]},
            "steps": {"dtype": "i64", "values": list(range(count))},
            "columns": {name: {"dtype": "f64", "values": list(values)}},
        }


def evaluate(path: Path) -> Evaluation:
    """Accuracy and log loss over the rows so far."""
    data = path.read_bytes()
    rows = list(csv.DictReader(data.decode().splitlines()))
    if not rows:
        raise SystemExit(f"{path} has no rows")
    right, loss = 0, 0.0
    accuracy: list[float] = []
    log_loss: list[float] = []
    for count, row in enumerate(rows, start=1):
        label, score = int(row["label"]), min(max(float(row["score"]), SURE), 1 - SURE)
        right += (score >= 0.5) == bool(label)
        loss -= math.log(score if label else 1 - score)
        if count % ROWS_PER_POINT == 0 or count == len(rows):
            accuracy.append(right / count)
            log_loss.append(loss / count)
    return Evaluation(hashlib.sha256(data).hexdigest(), len(rows), tuple(accuracy), tuple(log_loss))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    yesterday = (datetime.now(UTC) - timedelta(days=1)).date()
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("predictions", type=Path, help="CSV file with the columns label and score")
    parser.add_argument("--model", required=True, help="letters, digits, - and _")
    parser.add_argument("--night", type=date.fromisoformat, default=yesterday, help="default: yesterday")
    parser.add_argument("--workspace", default="default")
    parser.add_argument("--kafka", default=os.environ.get("RUNFOLD_KAFKA", "localhost:9092"))
    parser.add_argument("--commands-topic", default="runfold.commands")
    parser.add_argument("--reply-topic", default="runfold.replies.nightly")
    parser.add_argument("--answer-s", type=float, default=5.0, help="wait so long before sending again")
    parser.add_argument("--tries", type=int, default=6)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="librdkafka setting")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
