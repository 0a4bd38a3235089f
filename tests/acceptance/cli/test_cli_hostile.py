"""Whatever is typed: an answer, or one line and a documented exit code; never a traceback."""

from __future__ import annotations

import contextlib
import io
import os
import re
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runfold import Workspace, _process
from runfold.cli.main import main
from tests.support.command_line import record_story

EXPECTED = {0, 1, 2, 3}
TEXT = st.one_of(
    st.text(max_size=60),
    st.text(alphabet="[]{}()@?&|.*`'\"<>=! \\-_abc0:,%#", max_size=40),
    st.sampled_from(
        [
            "\x00",
            "a\x00b",
            "\ud800",
            "﷽" * 90,
            "-" * 5,
            "../..",
            "%s%n",
            "'; DROP TABLE events; --",
            "\x1b[2J",
        ]
    ),
)
NUMBER = st.one_of(st.integers(-(2**70), 2**70).map(str), st.sampled_from(["1e3", "NaN", "0x10", "\uff11"]))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("hostile")
    story = record_story(Workspace(workspace_name="default", home=folder))
    _process.close_all()
    return folder, story.completed


@pytest.mark.parametrize(
    "command",
    [
        ("run", "list", "--filter=TEXT"),
        ("run", "list", "--query=TEXT"),
        ("run", "list", "--order-by=TEXT"),
        ("run", "list", "--fields=TEXT"),
        ("run", "list", "--experiment=TEXT"),
        ("run", "list", "--tag=TEXT"),
        ("run", "list", "--status=TEXT"),
        ("run", "list", "--last=NUMBER"),
        ("run", "show", "TEXT"),
        ("run", "metrics", "RUN", "--name=TEXT"),
        ("run", "metrics", "RUN", "--points", "--last=NUMBER"),
        ("run", "tag", "RUN", "--", "TEXT"),
        ("run", "cancel", "RUN", "--reason=TEXT"),
        ("run", "children", "RUN", "--tree", "--last=NUMBER"),
        ("run", "list", "--workspace=TEXT"),
        ("TEXT", "TEXT"),
    ],
    ids=" ".join,
)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=TEXT, number=NUMBER, output=st.sampled_from(["json", "table", "tsv", "yaml", "jsonc", "none"]))
def test_no_text_breaks_a_command(
    home: tuple[Path, str], command: tuple[str, ...], text: str, number: str, output: str
) -> None:
    folder, run = home
    arguments = [word.replace("TEXT", text).replace("NUMBER", number).replace("RUN", run) for word in command]
    out, err = io.StringIO(), io.StringIO()
    place = {"RUNFOLD_HOME": str(folder), "RUNFOLD_OUTPUT": output}
    with mock.patch.dict(os.environ, place), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(arguments)

    assert code in EXPECTED
    assert "Traceback" not in err.getvalue()
    assert not re.search(r"unexpected \w+(Error|Exception):", err.getvalue()), err.getvalue()
    if code:
        assert out.getvalue() == ""
        assert err.getvalue().startswith("runfold: ")
        assert err.getvalue().rstrip("\n").count("\n") == 0
    assert not {"\x00", "\x1b"} & set(err.getvalue())
    if output != "jsonc":
        assert not {"\x00", "\x1b"} & set(out.getvalue())
