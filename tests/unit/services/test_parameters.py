"""Query strings: known parameters, single where one is meant, well encoded."""

from __future__ import annotations

import pytest

from runfold_events.contract.errors import Invalid, LimitExceeded
from runfold_events.contract.statuses import Status
from runfold_projections.model import RunQuery
from runfold_services.api.parameters import (
    QUERY_PARAMETERS_MAX,
    QUERY_STRING_BYTES_MAX,
    EventsParams,
    MetricsParams,
    NoParams,
    RunListParams,
    check_query,
    read_parameters,
    run_query,
)


def test_every_parameter_of_a_list_reaches_the_query() -> None:
    text = (
        b"experiment=e&filter=metrics.loss+%3C+0.5&order_by=-metrics.loss&fields=status,metrics.loss&fields=tags"
        b"&limit=7&page=abc&status=Running&status=Failed,Canceled&run_type=t&tag=a&tag=b=1&tag=c=x=y&property=p"
        b"&property=q=&include_children=true&parent_run_id=r1&ancestor_run_id=r2&include_archived=1"
    )
    assert run_query(read_parameters(text, RunListParams)) == RunQuery(
        experiment="e",
        filter="metrics.loss < 0.5",
        order_by="-metrics.loss",
        fields=("status", "metrics.loss", "tags"),
        limit=7,
        page="abc",
        status=(Status.RUNNING, Status.FAILED, Status.CANCELED),
        run_type="t",
        tags={"b": "1", "c": "x=y"},
        tag_keys=("a",),
        properties={"q": ""},
        property_keys=("p",),
        include_children=True,
        parent_run_id="r1",
        ancestor_run_id="r2",
        include_archived=True,
    )


def test_no_parameters_are_the_defaults() -> None:
    assert run_query(read_parameters(b"", RunListParams)) == RunQuery()
    assert read_parameters(b"", MetricsParams) == MetricsParams()


def test_a_metric_name_may_hold_anything() -> None:
    assert read_parameters(b"name=val%2Floss,x&name=%C3%A4", MetricsParams).name == ("val/loss,x", "ä")


def test_a_parameter_can_have_a_name_that_python_keeps_for_itself() -> None:
    assert read_parameters(b"from=5&partition=0&limit=9", EventsParams) == EventsParams(0, 5, 9)


@pytest.mark.parametrize(
    ("text", "field"),
    [
        (b"limits=3", "limits"),
        (b"limit=x", "limit"),
        (b"limit=0", "limit"),
        (b"limit=1&limit=2", "limit"),
        (b"limit=99999999999999999999999999", "limit"),
        (b"include_children=maybe", "include_children"),
        (b"status=Gone", "status"),
        (b"filter=%zz", "query string"),
        (b"filter=%f", "query string"),
        (b"filter=%ff%fe", "query string"),
        (b"filter=\xff", "query string"),
        (b"&".join([b"tag=a"] * (QUERY_PARAMETERS_MAX + 1)), "query string"),
    ],
)
def test_what_is_wrong_is_named(text: bytes, field: str) -> None:
    with pytest.raises(Invalid) as refused:
        run_query(read_parameters(text, RunListParams))
    assert refused.value.field == field


def test_an_operation_without_parameters_takes_none() -> None:
    with pytest.raises(Invalid, match="'a' is no parameter"):
        read_parameters(b"a=1", NoParams)


def test_a_long_query_string_is_refused_before_it_is_read() -> None:
    with pytest.raises(LimitExceeded) as refused:
        read_parameters(b"filter=" + b"x" * QUERY_STRING_BYTES_MAX, RunListParams)
    assert refused.value.limit == QUERY_STRING_BYTES_MAX


def test_a_page_has_a_bound_whoever_asks() -> None:
    with pytest.raises(LimitExceeded):
        run_query(read_parameters(b"limit=1001", RunListParams))
    with pytest.raises(LimitExceeded):
        check_query(RunQuery(limit=1_001))
    with pytest.raises(Invalid):
        check_query(RunQuery(limit=0))
