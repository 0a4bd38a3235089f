"""The command as a process: servers, pipes, signals, the file itself."""

from __future__ import annotations

import json
import os
import re
import select
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import urllib.request
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from runfold import Workspace, _process
from tests.support.command_line import Story, record_story
from tests.support.repository import script

READY_S_MAX = 30.0


def run(
    *arguments: str, home: Path | None = None, expect: int | None = 0, **environment: str
) -> subprocess.CompletedProcess[str]:
    """``runfold ARGUMENTS`` with its own environment."""
    done = subprocess.run(
        [str(script("runfold")), *arguments],
        env={**os.environ, **({} if home is None else {"RUNFOLD_HOME": str(home)}), **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert expect is None or done.returncode == expect, done.stderr or done.stdout
    return done


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Story]:
    """A home with the story in it; tests only read it, or copy it."""
    home = tmp_path_factory.mktemp("told")
    story = record_story(Workspace(workspace_name="default", home=home))
    _process.close_all()
    return home, story


@contextmanager
def serving(home: Path, *arguments: str, **environment: str) -> Generator[tuple[subprocess.Popen[str], str]]:
    """``runfold up`` on a free port; yields the process and its URL."""
    process = subprocess.Popen(
        [str(script("runfold")), "up", "--port", "0", *arguments],
        env={**os.environ, "RUNFOLD_HOME": str(home), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        readable, _, _ = select.select([process.stdout], [], [], READY_S_MAX)
        assert readable, "no ready line"
        line = process.stdout.readline()
        found = re.fullmatch(r"runfold ready at (http://\S+)\n", line)
        assert found, line or process.communicate(timeout=10)
        yield process, found[1]
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_up_serves_what_scripts_recorded_and_stops_cleanly(
    told: tuple[Path, Story], tmp_path: Path, number: signal.Signals
) -> None:
    home, story = told
    copy = shutil.copytree(home, tmp_path / "home")
    with serving(copy) as (process, url):
        shown = run("run", "show", story.parent, "--url", url)
        with urllib.request.urlopen(f"{url}/health/ready", timeout=10) as answer:
            assert answer.status == 200
        process.send_signal(number)
        out, err = process.communicate(timeout=20)

    assert json.loads(shown.stdout)["display_name"] == "the sweep"
    assert process.returncode == 0
    assert out == ""  # the ready line was all of it
    assert "Traceback" not in err
    assert run("run", "list", "--count", home=copy).stdout == "2\n"


def test_up_takes_no_address_of_the_network_without_a_token(tmp_path: Path) -> None:
    said = run("up", "--host", "0.0.0.0", "--port", "0", home=tmp_path, expect=None)

    assert said.returncode == 5
    assert said.stderr.count("RUNFOLD_TOKEN ") == 1
    assert said.stdout == ""


def test_up_on_a_port_in_use_says_what_to_do(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        said = run("up", "--port", str(taken.getsockname()[1]), home=tmp_path, expect=1)

    assert "in use" in said.stderr
    assert "--port 0" in said.stderr


def test_a_server_that_is_not_there_is_exit_4(tmp_path: Path) -> None:
    said = run("run", "list", home=tmp_path, RUNFOLD_URL="http://127.0.0.1:9", expect=4)

    assert said.stderr.count("\n") == 1
    assert "127.0.0.1:9" in said.stderr


def test_a_server_that_wants_another_token_is_exit_5(told: tuple[Path, Story], tmp_path: Path) -> None:
    copy = shutil.copytree(told[0], tmp_path / "home")
    with serving(copy, RUNFOLD_TOKEN="right") as (_, url):
        assert run("run", "list", "--count", RUNFOLD_URL=url, RUNFOLD_TOKEN="right").stdout == "2\n"
        said = run("run", "list", RUNFOLD_URL=url, RUNFOLD_TOKEN="wrong", expect=5)
        run("run", "list", RUNFOLD_URL=url, RUNFOLD_TOKEN="", expect=5)

    assert "RUNFOLD_TOKEN" in said.stderr
    assert "wrong" not in said.stderr


def test_options_win_over_the_environment_and_that_over_a_file(
    told: tuple[Path, Story], tmp_path: Path
) -> None:
    home, _ = told
    config = tmp_path / ".azureml" / "config.json"
    config.parent.mkdir()
    config.write_text('{"workspace_name": "elsewhere", "url": "http://127.0.0.1:9"}', "utf-8")

    def place(*arguments: str, **environment: str) -> tuple[str, str]:
        done = subprocess.run(
            [str(script("runfold")), "version", *arguments, "-o", "json"],
            cwd=tmp_path,
            env={**os.environ, "RUNFOLD_HOME": str(home), **environment},
            capture_output=True,
            text=True,
            check=True,
        )
        facts = json.loads(done.stdout)
        return facts["workspace"], facts["url"] or facts["home"]

    assert place() == ("elsewhere", "http://127.0.0.1:9")
    assert place(RUNFOLD_URL="http://h:1") == ("elsewhere", "http://h:1")
    assert place("--url", "http://h:2", RUNFOLD_URL="http://h:1") == ("elsewhere", "http://h:2")
    assert place("--home", str(tmp_path), "-w", "own", RUNFOLD_URL="http://h:1") == ("own", str(tmp_path))


def test_a_reader_that_has_had_enough_is_no_error(told: tuple[Path, Story]) -> None:
    command = (
        f"{script('runfold')} run list --include-children --all -o json | head -n 1; echo ${{PIPESTATUS[0]}}"
    )
    done = subprocess.run(
        ["bash", "-c", command],
        env={**os.environ, "RUNFOLD_HOME": str(told[0])},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout == "[\n0\n"
    assert done.stderr == ""


def test_a_terminal_that_lacks_our_symbols_gets_others(told: tuple[Path, Story]) -> None:
    done = subprocess.run(
        [str(script("runfold")), "run", "list", "-o", "table"],
        env={**os.environ, "RUNFOLD_HOME": str(told[0]), "PYTHONIOENCODING": "latin-1", "LC_ALL": "C"},
        capture_output=True,
        check=True,
    )

    assert b"+ Completed" in done.stdout


def test_debug_shows_the_traceback_and_nothing_else_does(told: tuple[Path, Story]) -> None:
    plain = run("run", "show", "nosuch", home=told[0], expect=3)
    debug = run("run", "show", "nosuch", "--debug", home=told[0], expect=3)

    assert "Traceback" not in plain.stderr
    assert "Traceback" in debug.stderr
    assert debug.stderr.splitlines()[-1] == plain.stderr.splitlines()[-1]


def test_ctrl_c_at_the_question_is_130_and_changes_nothing(told: tuple[Path, Story], tmp_path: Path) -> None:
    copy = shutil.copytree(told[0], tmp_path / "home")
    process = subprocess.Popen(
        [str(script("runfold")), "run", "erase", told[1].other],
        env={**os.environ, "RUNFOLD_HOME": str(copy)},
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    read = ""
    while "Erase it?" not in read:
        chunk = process.stderr.read(1)
        assert chunk, read
        read += chunk
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)

    assert process.returncode == 130
    assert json.loads(run("run", "show", told[1].other, home=copy).stdout)["erased"] is False


def test_a_sound_ledger_checks(told: tuple[Path, Story]) -> None:
    report = json.loads(run("ledger", "check", home=told[0]).stdout)

    assert report["is_sound"] is True
    assert report["damage"] == []
    assert report["events"] == report["ends"][0] > 20
    assert "sound" in run("ledger", "check", "-o", "table", home=told[0]).stdout


def test_a_change_with_triggers_off_is_found_and_its_place_is_named(
    told: tuple[Path, Story], tmp_path: Path
) -> None:
    copy = shutil.copytree(told[0], tmp_path / "home")
    (path,) = copy.glob("*.db")
    with closing(sqlite3.connect(path)) as connection:
        triggers = [
            row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
        ]
        for trigger in triggers:
            connection.execute(f"DROP TRIGGER {trigger}")
        table = _events_table(connection)
        position = connection.execute(
            f"SELECT pos FROM {table} WHERE body IS NOT NULL ORDER BY pos LIMIT 1 OFFSET 7"
        )
        (pos,) = position.fetchone()
        connection.execute(f"UPDATE {table} SET body = X'7B7D' WHERE pos = ?", (pos,))
        connection.commit()

    said = run("ledger", "check", home=copy, expect=6)
    report = json.loads(said.stdout)

    assert report["is_sound"] is False
    assert {"partition": 0, "position": pos, "what": "the body does not match its digest"} in report["damage"]
    assert any("trigger" in finding for finding in report["findings"])
    assert f"{pos}" in run("ledger", "check", "-o", "table", home=copy, expect=6).stdout


def _events_table(connection: sqlite3.Connection) -> str:
    for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        columns = {row[1] for row in connection.execute(f"PRAGMA table_info({name})")}
        if {"pos", "body", "digest", "chain"} <= columns:
            return str(name)
    raise AssertionError("no table of events")


def test_rebuild_gives_the_same_answers(told: tuple[Path, Story], tmp_path: Path) -> None:
    copy = shutil.copytree(told[0], tmp_path / "home")
    questions = [
        ("run", "list", "--include-children", "--all"),
        ("run", "metrics", told[1].completed, "--points"),
        ("run", "history", told[1].parent),
    ]
    before = [run(*question, home=copy).stdout for question in questions]

    answer = json.loads(run("rebuild", home=copy).stdout)
    one = json.loads(run("rebuild", "--projection", "metrics", home=copy).stdout)

    assert answer["events_folded"] > 20
    assert one["projections"] == ["metrics"]
    assert [run(*question, home=copy).stdout for question in questions] == before
    assert (
        "there is no projection 'nosuch'"
        in run("rebuild", "--projection", "nosuch", home=copy, expect=2).stderr
    )


def test_after_erasure_and_vacuum_no_byte_is_left(tmp_path: Path) -> None:
    home = tmp_path / "home"
    secret = "a-very-private-value"
    program = (
        "from runfold import Experiment, Workspace\n"
        "with Experiment(Workspace(workspace_name='default'), 'e').start_logging(run_id='r') as run:\n"
        f"    run.tag('person', '{secret}')\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, env={**os.environ, "RUNFOLD_HOME": str(home)})

    def holds_secret() -> bool:
        return any(secret.encode() in path.read_bytes() for path in home.rglob("*") if path.is_file())

    assert holds_secret()
    run("run", "erase", "r", "--yes", home=home)
    answer = json.loads(run("ledger", "vacuum", home=home).stdout)

    assert not holds_secret()
    assert answer["bytes_before"] > 0
    assert json.loads(run("ledger", "check", home=home).stdout)["is_sound"] is True


@pytest.mark.parametrize("arguments", [("ledger", "check"), ("ledger", "vacuum"), ("rebuild",)])
def test_work_on_the_file_needs_the_file(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    away = run(*arguments, "--url", "http://127.0.0.1:9", expect=2)
    empty = run(*arguments, home=tmp_path / "nothing", expect=3)

    assert "--home" in away.stderr
    assert "there is no ledger" in empty.stderr
    assert not (tmp_path / "nothing").exists()


def test_a_home_that_cannot_be_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", "utf-8")
    said = run("run", "list", home=tmp_path / "file", expect=4)

    assert said.stderr.count("\n") == 1
    assert "RUNFOLD_HOME" in said.stderr


def test_a_file_that_is_no_ledger_is_said_in_one_line(told: tuple[Path, Story], tmp_path: Path) -> None:
    (path,) = told[0].glob("*.db")
    (tmp_path / path.name).write_text("this is no database at all" * 100, "utf-8")
    said = run("run", "list", home=tmp_path, expect=None)

    assert said.returncode in {1, 2, 6}
    assert said.stderr.count("\n") == 1
    assert path.name in said.stderr


def test_verbose_says_where_and_quiet_says_nothing(told: tuple[Path, Story]) -> None:
    verbose = run("run", "list", "--last", "1", "-v", "-o", "table", home=told[0])
    quiet = run("run", "list", "--last", "1", "-q", "-o", "table", home=told[0])

    assert str(told[0]) in verbose.stderr
    assert quiet.stderr == ""


def test_the_version_is_that_of_the_package() -> None:
    from importlib.metadata import version

    assert run("--version").stdout == f"runfold {version('runfold')}\n"
    assert json.loads(run("version").stdout)["version"] == version("runfold")
