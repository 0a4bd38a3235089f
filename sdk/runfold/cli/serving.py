"""``runfold up`` is thin: it opens the embedded ledger and hands it to the server."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from runfold.cli.exits import Exit
from runfold.cli.options import Options
from runfold.cli.session import Session


def serve(options: Options, given: dict[str, Any]) -> int:
    """Serve until told to stop; ``given`` are settings of the command line, which win over the environment."""
    if options.url is not None:
        raise click.UsageError("up serves the ledger in the home; --url has no meaning here")
    from runfold._settings import load_settings
    from runfold_services.compose import open_embedded
    from runfold_services.server import serve as serve_backend
    from runfold_services.settings import settings_from_environment

    settings = msgspec.structs.replace(settings_from_environment(), **given)
    home = (options.home or load_settings().home).expanduser().absolute()
    Session(options).output.note(f"runfold: serving the ledger in {home}")
    serve_backend(open_embedded(home, background=False), settings)
    return Exit.OK
