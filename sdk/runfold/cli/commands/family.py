"""Answers about what is below a run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console, Group, RenderableType

from runfold.cli.answer import Answer
from runfold.cli.render import runs as shown
from runfold.cli.render.data import run_data
from runfold.cli.render.statuses import is_plain, roll_up
from runfold.cli.session import Session
from runfold_events.contract.statuses import Status
from runfold_projections.model import RunQuery, RunView


def list_answer(
    session: Session, run: RunView, wanted: tuple[Status, ...], last: int, *, recursive: bool
) -> Answer:
    """The children, or with ``recursive`` all descendants, newest first."""
    query = _below(run, wanted, recursive=recursive)
    found = session.runs(query, last)
    counts = session.child_counts(run.run_id)
    if len(found) == last:
        session.more(query, shown=last)

    def draw(console: Console) -> RenderableType:
        total = counts.descendants if recursive else counts.direct
        return Group(shown.runs_table(console, found), "", roll_up(total, plain=is_plain(console)))

    return Answer([run_data(one) for one in found], draw, shown.TSV_COLUMNS)


def tree_answer(session: Session, run: RunView, wanted: tuple[Status, ...], last: int) -> Answer:
    """The run and everything below it. A status filter keeps the ancestors of what matches."""
    # Oldest first: a parent is created before its children, so a cut never leaves a child without its parent.
    everything = session.runs(
        _below(run, (), recursive=True, order_by="created_at"), None if wanted else last
    )
    kept = everything
    if wanted:
        kept = _with_ancestors(everything, [one for one in everything if one.status in wanted])[:last]
    hidden = session.count(_below(run, (), recursive=True)) - len(kept) if len(kept) == last else 0
    parents = {one.parent_run_id for one in kept if one.parent_run_id}
    counts = {parent: session.child_counts(parent).direct for parent in parents}
    return Answer(
        _nested(run, kept), lambda console: shown.tree(console, run, kept, counts, hidden), shown.TSV_COLUMNS
    )


def _below(
    run: RunView, wanted: tuple[Status, ...], *, recursive: bool, order_by: str = "-created_at"
) -> RunQuery:
    return RunQuery(
        parent_run_id=None if recursive else run.run_id,
        ancestor_run_id=run.run_id if recursive else None,
        status=wanted,
        order_by=order_by,
        include_children=True,
        include_archived=True,
    )


def _with_ancestors(runs: Iterable[RunView], wanted: Iterable[RunView]) -> list[RunView]:
    keep = {run_id for run in wanted for run_id in run.path}
    return [run for run in runs if run.run_id in keep]


def _nested(root: RunView, descendants: Iterable[RunView]) -> dict[str, Any]:
    top: dict[str, Any] = {**run_data(root), "children": []}
    nodes = {root.run_id: top}
    for run in descendants:
        above = nodes.get(run.parent_run_id or "")
        if above is not None:
            node: dict[str, Any] = {**run_data(run), "children": []}
            above["children"].append(node)
            nodes[run.run_id] = node
    return top
