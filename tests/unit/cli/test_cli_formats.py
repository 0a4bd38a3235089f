"""Answers in every format."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console
from rich.text import Text

from runfold.cli.answer import Answer
from runfold.cli.options import FORMATS, Format, Options
from runfold.cli.output import Output, query
from runfold.cli.render.data import at, narrowed, plain
from runfold_events.contract.errors import Invalid

ROWS: list[dict[str, Any]] = [
    {"run_id": "a", "tags": {"x.y": "1", "quality": None}, "loss": 0.5},
    {"run_id": "b\tc\nd", "tags": {}, "loss": None},
]


def printed(
    output: Format | None, *, expression: str | None = None, data: Any = ROWS, tty: bool = False
) -> str:
    out = _Terminal() if tty else io.StringIO()
    answer = Answer(data, lambda console: Text("for people"), ("run_id", "tags.x.y", "loss"))
    Output(Options(output=output, query=expression), out=out, err=io.StringIO()).answer(answer)
    return out.getvalue()


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_json_is_the_data() -> None:
    assert json.loads(printed("json")) == ROWS


def test_yaml_is_the_data() -> None:
    assert yaml.safe_load(printed("yaml")) == ROWS


def test_jsonc_is_the_data_in_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    text = printed("jsonc")

    assert "\x1b[" in text
    assert json.loads(Text.from_ansi(text).plain) == ROWS


def test_no_color_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")

    assert json.loads(printed("jsonc")) == ROWS
    assert "\x1b[3" not in printed("table", expression="[].run_id", tty=True)


def test_tsv_has_a_line_per_row_and_escapes_what_would_break_it() -> None:
    assert printed("tsv") == "a\t1\t0.5\nb\\tc\\nd\t\t\n"


def test_tsv_of_a_query_has_its_values_in_order() -> None:
    assert printed("tsv", expression="[].{i: run_id, l: loss}") == "a\t0.5\nb\\tc\\nd\t\n"
    assert printed("tsv", expression="[0].tags") == "1\t\n"
    assert printed("tsv", expression="[0].run_id") == "a\n"
    assert printed("tsv", expression="[].tags") == "1\t\n\n"
    assert (
        printed("tsv", expression="[].[run_id, tags]") == 'a\t{"x.y": "1", "quality": null}\nb\\tc\\nd\t{}\n'
    )


def test_none_prints_nothing() -> None:
    assert printed("none") == ""


def test_people_get_tables_and_programs_get_json() -> None:
    assert printed(None, tty=True) == "for people\n"
    assert json.loads(printed(None)) == ROWS


@pytest.mark.parametrize(
    ("expression", "shown"),
    [
        ("[].{id: run_id, loss: loss}", ["id", "loss", "a", "0.5", "b c↵d", "-"]),
        ("[].run_id", ["result", "a"]),
        ("[0]", ["run_id", "tags", '{"x.y": "1", "quality": null}']),
        ("[].[run_id, loss]", ["column 1", "column 2"]),
        ("length(@)", ["2"]),
        ("[?loss > `9`]", ["nothing matches"]),
    ],
)
def test_a_table_of_whatever_a_query_gave(expression: str, shown: list[str]) -> None:
    text = printed("table", expression=expression)

    assert [piece for piece in shown if piece not in text] == []


@pytest.mark.parametrize("output", FORMATS)
@pytest.mark.parametrize("data", [None, [], {}, 0, "", [[]], [{}], [[], [1]], "\x9b\x7f", [1, {"a": 1}]])
def test_every_format_takes_every_shape(output: Format, data: Any) -> None:
    """With a query, so that the table is the one of any data."""
    text = printed(output, expression="@", data=data)

    assert "\x9b" not in text
    if output == "json":
        assert json.loads(text) == data


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("[?a==", "at its end"),
        ("a b", "at position 3, near 'b'"),
        ("[?#]", "at position 3"),
        ("keys(@)", "does not fit the answer"),
        ("nosuch(@)", "nosuch"),
        ("", "JMESPath"),
    ],
)
def test_a_query_that_is_none_says_where(expression: str, said: str) -> None:
    with pytest.raises(Invalid, match="--query") as raised:
        query(expression, ROWS)

    assert said in raised.value.message
    assert raised.value.field == "--query"


def test_numbers_that_json_lacks_become_words() -> None:
    assert plain({"a": float("nan"), "b": [float("inf"), float("-inf")]}) == {
        "a": "NaN",
        "b": ["Infinity", "-Infinity"],
    }


def test_fields_narrow_the_data_with_dots_in_keys() -> None:
    data = {
        "run_id": "a",
        "status": "Running",
        "tags": {"x.y": "1", "z": "2"},
        "metrics": {"loss": {"max": 1}},
    }

    assert narrowed(data, ("tags.x.y", "metrics.loss.max", "params.gone")) == {
        "run_id": "a",
        "tags": {"x.y": "1"},
        "metrics": {"loss": {"max": 1}},
    }
    assert at(data, "tags.x.y") == "1"
    assert at(data, "metrics.loss.max") == 1
    assert at(data, "status.nothing") is None


def test_tables_piped_somewhere_are_wide_and_have_no_colours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    with (tmp_path / "out").open("w+", encoding="utf-8") as out:
        console: Console = Output(Options(), out=out).console()

        assert console.width >= 160
        assert console.color_system is None
