"""``…/runs/{id}/metrics`` and ``…/series``; ``…/curves`` of many runs."""

from __future__ import annotations

from typing import Final

from msgspec import Raw

from runfold_events.contract import limits
from runfold_events.contract.commands import LogMetrics
from runfold_events.contract.metrics import MetricBatch
from runfold_projections.arrow import ARROW_STREAM
from runfold_projections.model import SeriesData, SeriesInfo
from runfold_services.api.bodies import CurveQueryBody, CurvesAnswer, PackedCurvesAnswer, WriteAnswer
from runfold_services.api.call import Call
from runfold_services.api.curve_formats import check_curve_format, encode_curves
from runfold_services.api.operations import Answer, Operation
from runfold_services.api.parameters import MetricsParams, SeriesParams, check_query
from runfold_services.api.routes.runs import RUN

CURVES: Final = "/api/v1/workspaces/{workspace}/curves"


async def log_metrics(call: Call) -> Answer:
    """The body is the batch and is stored byte for byte."""
    return await call.write(LogMetrics(run_id=call.run_id, batch=Raw(call.body)))


async def show_metrics(call: Call) -> Answer:
    workspace, run_id, params = call.workspace, call.run_id, call.query
    return await call.ask(
        lambda views: views.metrics(
            workspace, run_id, names=params.name, recursive=params.recursive, points_max=params.points_max
        )
    )


async def list_series(call: Call) -> Answer:
    workspace, run_id, recursive = call.workspace, call.run_id, call.query.recursive
    return await call.ask(lambda views: views.series(workspace, run_id, recursive=recursive))


async def query_curves(call: Call) -> Answer:
    """Many metrics of many runs in one answer, each as fine as ``points_max`` allows and no finer than its points."""
    workspace, query = call.workspace, call.body
    if query.query is not None:
        check_query(query.query)
    check_curve_format(call.format)
    return await call.ask(lambda views: views.curves(workspace, query), encode=encode_curves)


OPERATIONS: Final = (
    Operation(
        method="GET",
        path=RUN + "/metrics",
        name="showMetrics",
        tag="metrics",
        summary="Points of a run's metrics, columnar",
        run=show_metrics,
        query=MetricsParams,
        answer=list[SeriesData],
        is_question=True,
    ),
    Operation(
        method="POST",
        path=RUN + "/metrics",
        name="logMetrics",
        tag="metrics",
        summary="Log a batch of metric points, columnar; stored byte for byte",
        run=log_metrics,
        body=MetricBatch,
        body_is_raw=True,
        body_bytes_max=limits.METRIC_BATCH_BYTES_MAX,
        answer=WriteAnswer,
        is_command=True,
    ),
    Operation(
        method="GET",
        path=RUN + "/series",
        name="listSeries",
        tag="metrics",
        summary="Which metrics a run has, without their points",
        run=list_series,
        query=SeriesParams,
        answer=list[SeriesInfo],
        is_question=True,
    ),
    Operation(
        method="POST",
        path=CURVES + ":query",
        name="queryCurves",
        tag="metrics",
        summary="Curves of many metrics of many runs: points, or buckets where there are more points than asked for",
        run=query_curves,
        body=CurveQueryBody,
        answer=CurvesAnswer,
        answer_packed=PackedCurvesAnswer,
        answer_others=(ARROW_STREAM,),
        is_question=True,
        finds_one=True,
    ),
)
