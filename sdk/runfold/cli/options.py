"""Options that every command takes, before or after its own name, and the kinds of values that several share."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Literal, TypeVar, cast

import click
from click.shell_completion import CompletionItem
from msgspec import Struct

from runfold_events.contract.statuses import Status

Format = Literal["json", "jsonc", "table", "tsv", "yaml", "yamlc", "none"]
FORMATS: Final[tuple[Format, ...]] = ("json", "jsonc", "table", "tsv", "yaml", "yamlc", "none")
Command = TypeVar("Command", bound=Callable[..., Any])

_META: Final = "runfold.options"


class Options(Struct, frozen=True, kw_only=True):
    """What the global options said; None where the environment or a default decides.

    ``azure`` says that the command was spoken to as ``az ml``: answers have Azure ML's keys then.
    """

    output: Format | None = None
    query: str | None = None
    workspace: str | None = None
    url: str | None = None
    home: Path | None = None
    path: Path | None = None
    subscription_id: str | None = None
    resource_group: str | None = None
    output_metadata_file: Path | None = None
    azure: bool = False
    quiet: bool = False
    verbose: bool = False
    debug: bool = False


def options_of(context: click.Context) -> Options:
    """The global options given so far, the innermost winning."""
    return Options(**context.meta.get(_META, {}))


def speak_azure(context: click.Context) -> None:
    """From here on down the tree the command line is spoken to as ``az ml``."""
    context.meta.setdefault(_META, {})["azure"] = True


def _keep(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    if value is not None and value is not False:
        context.meta.setdefault(_META, {})[parameter.name] = value


def _option(*names: str, help: str, **kwargs: Any) -> click.Option:
    return click.Option(names, help=help, expose_value=False, callback=_keep, **kwargs)


GLOBAL_OPTIONS: Final[tuple[click.Option, ...]] = (
    _option(
        "-o",
        "--output",
        type=click.Choice(FORMATS),
        envvar="RUNFOLD_OUTPUT",
        help="How to print the answer. Default: RUNFOLD_OUTPUT, else table on a terminal, json otherwise.",
    ),
    _option("--query", metavar="JMESPATH", help="Reshape the answer (after --last has cut it)."),
    _option("-w", "--workspace", "--workspace-name", "workspace", metavar="NAME", help="Which workspace."),
    _option(
        "--url", metavar="URL", help="Ask this server. Default: RUNFOLD_URL, else the ledger in the home."
    ),
    _option(
        "--home",
        metavar="DIR",
        type=click.Path(path_type=Path, file_okay=False),
        help="Where the embedded ledger is. Default: RUNFOLD_HOME, else the user's data directory.",
    ),
    _option(
        "--path",
        metavar="DIR",
        type=click.Path(path_type=Path, file_okay=False),
        help="Look for config.json from this folder upwards. Default: the current one.",
    ),
    _option(
        "-t",
        "--output-metadata-file",
        metavar="FILE",
        type=click.Path(path_type=Path, dir_okay=False),
        help="Write the answer into this new file too, as JSON.",
    ),
    # Azure's commands take these everywhere; `folder attach` keeps them, elsewhere they have nothing to say.
    _option("-g", "--resource-group", metavar="NAME", hidden=True, help="As in Azure; means nothing here."),
    _option("--subscription-id", "--subscription", metavar="ID", hidden=True, help="Likewise."),
    _option(
        "-q",
        "--quiet",
        "--only-show-errors",
        "quiet",
        is_flag=True,
        default=None,
        help="Say nothing but the answer and errors.",
    ),
    _option("-v", "--verbose", is_flag=True, default=None, help="Say more about what is done, on stderr."),
    _option("--debug", is_flag=True, default=None, help="Show the traceback of an error."),
)


class KeyValue(click.ParamType[tuple[str, str | None]]):
    """``key=value``, or ``key`` alone where that has a meaning; gives ``(key, value | None)``."""

    name = "KEY[=VALUE]"

    def __init__(self, *, value_required: bool = False) -> None:
        self.value_required = value_required
        if value_required:
            self.name = "KEY=VALUE"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str | None]:
        if isinstance(value, tuple):
            return cast("tuple[str, str | None]", value)
        key, equals, rest = str(value).partition("=")
        if not key or (self.value_required and not equals):
            self.fail(f"{value!r} is not {self.name}", param, ctx)
        return key, rest if equals else None


class StatusChoice(click.ParamType[Status]):
    """One of the fifteen statuses, in any case; gives the status."""

    name = "STATUS"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Status:
        wanted = str(value).casefold()
        for status in Status:
            if status.casefold() == wanted:
                return status
        self.fail(f"there is no status {value!r}; there are: {', '.join(Status)}", param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        return [
            CompletionItem(str(one)) for one in Status if one.casefold().startswith(incomplete.casefold())
        ]


def run_argument(command: Command) -> Command:
    """RUN as an argument, or ``-r/--run RUN`` as Azure's command line has it; passed on as ``run_id``."""

    @functools.wraps(command)
    def called(*args: Any, run_id: str | None, run_option: str | None, **kwargs: Any) -> Any:
        if run_option is not None and run_id is not None and "tags" in kwargs:
            # `run tag -r RUN key=value`: what stands first is a tag then.
            kwargs["tags"] = (KeyValue()(run_id), *kwargs["tags"])
            run_id = None
        if (run_id is None) == (run_option is None):
            raise click.UsageError("name the run once: RUN, or -r RUN")
        return command(*args, run_id=run_option if run_id is None else run_id, **kwargs)

    complete = complete_run
    option = click.option(
        "-r", "--run", "run_option", metavar="RUN", shell_complete=complete, help="The run, instead of RUN."
    )
    argument = click.argument("run_id", metavar="RUN", required=False, shell_complete=complete)
    return cast("Command", option(argument(called)))


def in_experiment(command: Command) -> Command:
    """``-e/--experiment NAME`` on a command about one run: only if the run belongs to it."""
    option = click.option(
        "-e", "--experiment", "--experiment-name", metavar="NAME", help="Only if the run belongs to it."
    )
    return option(command)


def complete_run(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Run ids that begin as typed, newest first. A completion never fails."""
    from runfold.cli.session import Session

    try:
        with Session(options_of(context)) as session:
            return [
                CompletionItem(run_id, help=words) for run_id, words in session.beginning_with(incomplete)
            ]
    except Exception:
        return []


def wants_version(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    """``runfold --version``."""
    if value and not context.resilient_parsing:
        from importlib.metadata import version

        click.echo(f"runfold {version('runfold')}")
        context.exit()
