"""Answers about one run, in the keys of whoever asks."""

from __future__ import annotations

from runfold.cli.answer import Answer
from runfold.cli.render import azure
from runfold.cli.render import runs as shown
from runfold.cli.render.data import counts_data, run_data
from runfold.cli.session import Session
from runfold_projections.model import RunView


def show_answer(session: Session, run: RunView) -> Answer:
    """Everything about the run; under ``az ml`` what Azure ML tells of it."""
    counts = session.child_counts(run.run_id)
    if session.options.azure:
        data, columns = azure.run_data(run), azure.TSV_COLUMNS
    else:
        data, columns = {**run_data(run), "children": counts_data(counts)}, shown.TSV_COLUMNS
    return Answer(data, lambda console: shown.card(console, run, counts), columns)
