"""``runfold up``."""

from __future__ import annotations

import click

from runfold.cli.options import options_of
from runfold.cli.tree import Leaf


@click.command(
    cls=Leaf,
    short_help="Serve the API over the ledger in RUNFOLD_HOME.",
    examples=[
        ("over the runs in RUNFOLD_HOME", "runfold up"),
        ("on a free port, for a script", "runfold up --port 0"),
        ("for other machines, which then need the token", "RUNFOLD_TOKEN=… runfold up --host 0.0.0.0"),
    ],
)
@click.option(
    "--host",
    metavar="HOST",
    help="Address to listen on. Others than loopback need RUNFOLD_TOKEN.  [default: 127.0.0.1]",
)
@click.option(
    "--port", type=click.IntRange(0, 65_535), help="Port to listen on; 0: a free one.  [default: 8765]"
)
@click.option("--log-format", type=click.Choice(["auto", "json", "console"]), help="How to log, on stderr.")
@click.option(
    "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), help="How much to log."
)
@click.pass_context
def up(
    context: click.Context, host: str | None, port: int | None, log_format: str | None, log_level: str | None
) -> int:
    """Serve the API and the views over the ledger in RUNFOLD_HOME, until Ctrl-C.

    One ready line goes to stdout: `runfold ready at http://127.0.0.1:8765`. Everything else is logged to stderr.
    """
    from runfold.cli.serving import serve

    given = {"host": host, "port": port, "log_format": log_format, "log_level": log_level}
    return serve(options_of(context), {name: value for name, value in given.items() if value is not None})
