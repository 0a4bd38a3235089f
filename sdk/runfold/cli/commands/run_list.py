"""``runfold run list``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from runfold.cli.options import KeyValue, StatusChoice
from runfold.cli.session import Session, with_session
from runfold.cli.tree import Leaf

if TYPE_CHECKING:
    from runfold.cli.answer import Answer
    from runfold_projections.model import RunView

LAST_DEFAULT: Final = 10
_MINIMAL: Final = ("run_id", "run_type", "status", "started_at", "ended_at", "target", "tags")


@click.command(
    "list",
    cls=Leaf,
    short_help="List runs, the newest first.",
    examples=[
        ("the ten newest runs", "runfold run list"),
        ("all that failed in one experiment", "runfold run list -e digits --status Failed --all"),
        ("by a tag, or by its value", "runfold run list --tag reviewed --tag quality='fantastic run'"),
        (
            "the five best children of a sweep",
            "runfold run list --parent RUN --order-by=-metrics.val_accuracy.max --last 5 "
            "--fields status,params.alpha,metrics.val_accuracy",
        ),
        ("the filter language", "runfold run list --filter 'params.lr < 0.01 and metrics.loss.min <= 0.5'"),
        (
            "JMESPath over the answer",
            "runfold run list --query \"[?properties.author=='azureml-user'].run_id\"",
        ),
    ],
)
@click.option("-e", "--experiment", "--experiment-name", metavar="NAME", help="Runs of this experiment.")
@click.option(
    "--last", type=click.IntRange(min=1), metavar="N", help=f"The first N.  [default: {LAST_DEFAULT}]"
)
@click.option("--all", "everything", is_flag=True, help="All that match.")
@click.option(
    "--status", type=StatusChoice(), multiple=True, help="With this status; may be repeated: any of them."
)
@click.option(
    "--tag", "--tags", "tags", type=KeyValue(), multiple=True, help="With this tag; repeated: all of them."
)
@click.option(
    "--property",
    "properties",
    type=KeyValue(),
    multiple=True,
    help="With this property; repeated: all of them.",
)
@click.option("--filter", "expression", metavar="EXPR", help="An expression of the filter language.")
@click.option(
    "--order-by",
    metavar="FIELD",
    default="-created_at",
    show_default=True,
    help="A field; a leading - for descending.",
)
@click.option(
    "--fields",
    metavar="A,B,…",
    help="Load and show only these, such as status,tags.quality,params.lr,metrics.loss.",
)
@click.option(
    "--minimal", is_flag=True, help="Short for --fields with id, type, status, times, target and tags."
)
@click.option("--include-children", is_flag=True, help="Child runs too, not only those without a parent.")
@click.option(
    "--parent", "--parent-run-id", "--pipeline-run-id", "parent", metavar="RUN", help="Children of this run."
)
@click.option("--target", "--compute-target-name", "target", metavar="NAME", help="Submitted to this target.")
@click.option("--archived", is_flag=True, help="Archived runs too.")
@click.option("--count", is_flag=True, help="Only how many match.")
@with_session
def list_runs(session: Session, /, **given: Any) -> None:
    """List runs, the newest first: those without a parent, unless you ask for children.

    --query works on what --last has left; --filter, --tag and the other options choose among all runs.
    """
    from runfold.cli.answer import Answer

    query, fields = _query(session, given)
    if given["count"]:
        count = session.count(query)
        session.output.answer(Answer(count, lambda console: str(count)))
        return
    last = None if given["everything"] else given["last"] or LAST_DEFAULT
    found = session.runs(query, last)
    if given["last"] is None and last is not None and len(found) == last:
        session.more(query, shown=last)
    if not found and given["experiment"] is not None:
        session.check_experiment(given["experiment"])
    session.output.answer(_answer(session, found, fields, minimal=given["minimal"]))


def _answer(session: Session, found: list[RunView], fields: tuple[str, ...], *, minimal: bool) -> Answer:
    from runfold.cli.answer import Answer
    from runfold.cli.render import azure
    from runfold.cli.render import runs as shown
    from runfold.cli.render.data import run_data

    if session.options.azure and minimal:
        data, columns = [azure.minimal_data(one) for one in found], azure.MINIMAL_TSV_COLUMNS
    elif session.options.azure and not fields:
        data, columns = [azure.run_data(one) for one in found], azure.TSV_COLUMNS
    else:
        data, columns = [run_data(one, fields) for one in found], fields or shown.TSV_COLUMNS
    return Answer(data, lambda console: shown.runs_table(console, found, fields=fields), columns)


def _query(session: Session, given: dict[str, Any]) -> tuple[Any, tuple[str, ...]]:
    from runfold_projections.model import RunQuery

    if given["everything"] and given["last"] is not None:
        raise click.UsageError("--all and --last exclude each other")
    fields = _fields(given["fields"], minimal=given["minimal"])
    tags, tag_keys = _pairs(given["tags"])
    properties, property_keys = _pairs(given["properties"])
    parent = given["parent"]
    query = RunQuery(
        experiment=_experiment(session, given),
        filter=_with_target(given["expression"], given["target"]),
        order_by=given["order_by"],
        fields=fields,
        tags=tags,
        tag_keys=tag_keys,
        properties=properties,
        property_keys=property_keys,
        status=given["status"],
        include_children=given["include_children"],
        parent_run_id=session.find(parent).run_id if parent else None,
        include_archived=given["archived"],
    )
    return query, fields


def _experiment(session: Session, given: dict[str, Any]) -> str | None:
    """As asked for; of ``az ml`` else the one that the folder is attached to, as in Azure."""
    named: str | None = given["experiment"]
    if named is not None or not session.options.azure or given["parent"]:
        return named
    config = session.config
    return None if config is None else config.experiment


def _with_target(expression: str | None, target: str | None) -> str | None:
    if target is None:
        return expression
    of_target = "target = '{}'".format(target.replace("'", "''"))
    return of_target if expression is None else f"({expression}) and {of_target}"


def _fields(text: str | None, *, minimal: bool) -> tuple[str, ...]:
    named = tuple(field.strip() for field in text.split(",") if field.strip()) if text else ()
    if text is not None and not named:
        raise click.UsageError("--fields names no field")
    return tuple(dict.fromkeys((*(_MINIMAL if minimal else ()), *named)))


def _pairs(given: tuple[tuple[str, str | None], ...]) -> tuple[dict[str, str | None], tuple[str, ...]]:
    """Keys with a value, and keys that must only exist."""
    return {key: value for key, value in given if value is not None}, tuple(
        key for key, value in given if value is None
    )
