"""The entry point: runs the argument tree and turns whatever happens into one line on stderr and an exit code."""

from __future__ import annotations

import io
import os
import sys
import traceback
from collections.abc import Sequence

import click

from runfold.cli.exits import Exit, exit_of
from runfold.cli.problems import line_of, usage_line
from runfold_events.contract.errors import RunfoldError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``runfold`` with ``arguments`` (those of the process by default); returns the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        # What a terminal's encoding lacks is shown escaped: an answer never fails for its letters.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = _run(given)
        sys.stdout.flush()
    except BrokenPipeError:
        return _pipe_closed()
    return code


def _run(arguments: list[str]) -> int:
    from runfold.cli.commands.root import root

    try:
        result = root.main(args=arguments, prog_name="runfold", standalone_mode=False)
        return int(result) if isinstance(result, int) else Exit.OK
    except (click.Abort, KeyboardInterrupt):
        return _say("interrupted", Exit.INTERRUPTED)
    except click.ClickException as error:
        return _say(usage_line(error), Exit.USAGE)
    except RunfoldError as error:
        return _failed(arguments, line_of(error), exit_of(error))
    except BrokenPipeError:
        raise
    except OSError as error:
        return _failed(arguments, _os_line(error), Exit.REFUSED)
    except Exception as error:
        line = f"unexpected {type(error).__name__}: {' '.join(str(error).split())}"
        return _failed(arguments, f"{line}. Run it again with --debug for the traceback", Exit.REFUSED)


def _failed(arguments: list[str], line: str, code: Exit) -> Exit:
    if "--debug" in arguments:
        traceback.print_exc()
    return _say(line, code)


def _say(line: str, code: Exit) -> Exit:
    """One line on stderr, whatever texts of users are in it."""
    from runfold.cli.render.text import safe

    sys.stdout.flush()
    sys.stderr.write(f"runfold: {safe(line)}\n")
    return code


def _os_line(error: OSError) -> str:
    place = f"{error.filename}: " if error.filename else ""
    return f"{place}{error.strerror or error}"


def _pipe_closed() -> int:
    """The reader (``head``, a pager) has had enough: nothing is wrong, and nothing more is written."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    return Exit.OK


if __name__ == "__main__":
    sys.exit(main())
