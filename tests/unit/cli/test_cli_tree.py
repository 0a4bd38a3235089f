"""The argument tree teaches, and is quick to load."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest
from click.shell_completion import ShellComplete

from runfold.cli.commands.root import root
from runfold.cli.exits import MEANINGS, Exit, exit_of
from runfold.cli.main import main
from runfold.cli.tree import Branch, Leaf
from runfold_events.contract import errors
from runfold_events.contract.envelope import LedgerDamaged
from runfold_events.contract.statuses import Status
from tests.support.repository import script

HEAVY = {"litestar", "numpy", "plotext", "rich", "uvicorn", "yaml", "jmespath", "urllib3", "platformdirs"}
HELP_S_MAX = 0.3


def walk(path: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        for name, below in command.commands.items():
            yield from walk(f"{path} {name}", below)


COMMANDS = dict(walk("runfold", root))
EXAMPLES = [
    (path, example.command)
    for path, command in COMMANDS.items()
    if isinstance(command, Branch | Leaf)
    for example in command.examples
]


def test_the_commands_are_those_that_are_documented() -> None:
    assert {
        "runfold run list",
        "runfold run show",
        "runfold run children",
        "runfold run history",
        "runfold run metrics",
        "runfold run tag",
        "runfold run cancel",
        "runfold run archive",
        "runfold run restore",
        "runfold run erase",
        "runfold run update",
        "runfold experiment list",
        "runfold folder attach",
        "runfold az login",
        "runfold az ml run list",
        "runfold completion",
        "runfold up",
        "runfold rebuild",
        "runfold ledger check",
        "runfold ledger export",
        "runfold ledger import",
        "runfold ledger vacuum",
        "runfold version",
    } <= set(COMMANDS)


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_explains_itself(path: str) -> None:
    command = COMMANDS[path]
    with click.Context(command, info_name=path, **command.context_settings) as context:
        text = command.get_help(context)

    assert command.help
    assert "--output" in text
    if not isinstance(command, click.Group):
        assert "Examples:" in text
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{path} {parameter.name}"
    short = command.get_short_help_str(limit=70)
    assert command is root or not short.endswith("..."), f"{path}: give it a short_help"


@pytest.mark.parametrize(("path", "example"), EXAMPLES, ids=[example for _, example in EXAMPLES])
def test_examples_can_be_typed_as_they_stand(path: str, example: str) -> None:
    """Every example is parsed as the real command would, without being run."""
    words = shlex.split(example.partition(" || ")[0])
    while "=" in words[0]:
        words = words[1:]  # a variable set for this command

    assert words[0] == "runfold"
    command: click.Command = root
    parent: click.Context | None = None
    arguments = words[1:]
    while isinstance(command, click.Group):
        context = command.make_context("runfold", list(arguments), parent=parent, allow_extra_args=True)
        arguments = [*context._protected_args, *context.args]  # pyright: ignore[reportPrivateUsage]  # as click does
        if not arguments:
            return
        _, found, arguments = command.resolve_command(context, arguments)
        assert found is not None
        command, parent = found, context
    command.make_context("leaf", list(arguments), parent=parent)


def test_help_tells_the_exit_codes_and_the_environment(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    text = capsys.readouterr().out

    for code, meaning in MEANINGS.items():
        assert re.search(rf"^ +{int(code)} +{re.escape(meaning)[:40]}", text, re.MULTILINE), code
    for name in (
        "RUNFOLD_HOME",
        "RUNFOLD_URL",
        "RUNFOLD_TOKEN",
        "RUNFOLD_WORKSPACE",
        "NO_COLOR",
        "Completion",
    ):
        assert name in text


def test_help_comes_at_once() -> None:
    """Processor time, and the best of three, so that a busy machine is no failure."""
    took: list[float] = []
    for _ in range(3):
        before = os.times()
        subprocess.run([script("runfold"), "--help"], check=True, capture_output=True)
        after = os.times()
        took.append(
            after.children_user + after.children_system - before.children_user - before.children_system
        )

    assert min(took) < HELP_S_MAX


def test_heavy_libraries_wait_until_they_are_needed() -> None:
    program = (
        "import sys; from runfold.cli.main import main; main(['run', 'list', '--help']);"
        "print(*{name.partition('.')[0] for name in sys.modules}, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)

    assert not HEAVY.intersection(done.stderr.split())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "lits"], "did you mean list?"),
        (["nosuch"], "there are: run, experiment, agent, folder, usage, up"),
        (["run", "list", "--lats"], "--last"),
        (["run", "list", "--last", "0"], "--last"),
        (["run", "list", "--last", "x"], "'x' is not a valid integer range"),
        (["run", "list", "--status", "Done"], "there are: NotStarted, Unapproved"),
        (["run", "list", "--tag", "=x"], "'=x' is not KEY[=VALUE]"),
        (["run", "list", "--fields", ","], "--fields names no field"),
        (["run", "list", "--all", "--last", "3"], "--all and --last exclude each other"),
        (["run", "list", "-o", "xml"], "'json'"),
        (["run", "show"], "name the run once"),
        (["run", "show", "a", "-r", "b"], "name the run once"),
        (["run", "tag", "a"], "name at least one KEY=VALUE"),
        (["run", "list", "--home", "x", "--url", "http://h"], "--url and --home exclude each other"),
        (["run", "list", "--url", "ftp://h"], "http://"),
        (["run", "list", "-w", "a b"], "workspace"),
        (["up", "--port", "70000"], "--port"),
        (["up", "--url", "http://h"], "--url has no meaning here"),
    ],
)
def test_wrong_usage_is_one_line_that_helps_and_exit_2(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(arguments)
    captured = capsys.readouterr()

    assert code == Exit.USAGE
    assert captured.out == ""
    assert said in captured.err
    assert captured.err.startswith("runfold: ")
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.RunfoldError("x"), 1),
        (errors.RunRejected("x"), 1),
        (errors.PropertyImmutable("x"), 1),
        (errors.Conflict("x"), 1),
        (errors.Invalid("x"), 2),
        (errors.LimitExceeded("x"), 2),
        (errors.NotFound("x"), 3),
        (errors.Unavailable("x"), 4),
        (errors.PositionNotReached("x"), 4),
        (errors.Unauthorized("x"), 5),
        (LedgerDamaged("x"), 6),
    ],
)
def test_every_error_has_its_exit_code(error: errors.RunfoldError, code: int) -> None:
    assert exit_of(error) == code


def completions(line: str) -> list[str]:
    arguments = shlex.split(line)[1:]
    incomplete = "" if line.endswith(" ") else arguments.pop()
    return [
        item.value
        for item in ShellComplete(root, {}, "runfold", "_RUNFOLD_COMPLETE").get_completions(
            arguments, incomplete
        )
    ]


def test_the_shell_completes_commands_options_and_statuses() -> None:
    assert completions("runfold run ca") == ["cancel"]
    assert "--recursive" in completions("runfold run children --rec")
    assert completions("runfold run list --status Can") == ["CancelRequested", "Canceled"] or completions(
        "runfold run list --status Can"
    ) == [str(status) for status in Status if status.startswith("Can")]
    assert completions("runfold -o y") == ["yaml", "yamlc"]


def test_completing_a_run_never_fails() -> None:
    assert completions("runfold --url http://127.0.0.1:9 run show 01") == []
