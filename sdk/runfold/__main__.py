"""``python -m runfold``: the command line, or with ``RUNFOLD_AZUREML=1`` a script that imports ``azureml``."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Sequence
from pathlib import Path

from runfold._settings import azureml_wish
from runfold.errors import RunfoldError


def main() -> int:
    """Do what the environment asks for; returns the exit code."""
    wish = azureml_wish()
    if wish is None:
        from runfold.cli.main import main as command_line

        return command_line()
    return _run_script(sys.argv[1:], force=wish == "force")


def _run_script(arguments: Sequence[str], *, force: bool) -> int:
    """Run a script as ``python script.py arguments`` would, with runfold under the name ``azureml``."""
    from runfold import azureml

    if not arguments or not Path(arguments[0]).is_file():
        named = arguments[0] if arguments else "nothing"
        return _say(f"RUNFOLD_AZUREML asks for a script to run; there is no file {named}")
    script = Path(arguments[0])
    sys.argv[:] = arguments
    sys.path[0] = str(script.resolve().parent)
    try:
        azureml.install(force=force)
    except RunfoldError as error:
        return _say(error.message)
    runpy.run_path(str(script), run_name="__main__")
    return 0


def _say(line: str) -> int:
    print(f"runfold: {line}", file=sys.stderr)  # noqa: T201  # the command line's own form
    return 2


if __name__ == "__main__":
    sys.exit(main())
