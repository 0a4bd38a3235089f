"""The program ``runfold`` as people start it: commands, and roles that serve until they are told to end."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from typing import Any, Final, TextIO

from msgspec import Struct

from runfold.cli.main import main
from tests.support.repository import script

COMMAND_S_MAX: Final = 90.0
ROLE_S_MAX: Final = 110.0
STOP_S_MAX: Final = 30.0


class Done(Struct, frozen=True):
    """What a command said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The answer, read as JSON."""
        return json.loads(self.out)


def run(*arguments: str, environment: Mapping[str, str] | None = None, expect: int = 0) -> Done:
    """Run ``runfold ARGUMENTS`` to its end and check its exit code."""
    done = subprocess.run(
        [str(script("runfold")), *arguments],
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=COMMAND_S_MAX,
        check=False,
    )
    assert done.returncode == expect, (arguments, done.returncode, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr, done.stderr
    return Done(done.returncode, done.stdout, done.stderr)


def run_here(*arguments: str, environment: Mapping[str, str] | None = None, expect: int = 0) -> Done:
    """The same in this process and on this thread, a second faster; whatever other threads print is left alone."""
    out, err = _OwnLines(sys.stdout), _OwnLines(sys.stderr)
    before = dict(os.environ)
    os.environ.update(environment or {})
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(arguments)
    finally:
        os.environ.clear()
        os.environ.update(before)
    assert code == expect, (arguments, code, out.getvalue(), err.getvalue())
    return Done(code, out.getvalue(), err.getvalue())


class _OwnLines(io.StringIO):
    """Keeps what the thread that made it writes."""

    def __init__(self, others: TextIO) -> None:
        super().__init__()
        self._thread = threading.get_ident()
        self._others = others

    def write(self, text: str) -> int:
        return super().write(text) if threading.get_ident() == self._thread else self._others.write(text)


class RoleProcess:
    """``runfold serve ROLE`` on a free port, in a process of its own. ``log`` is known once it ended."""

    def __init__(self, role: str, environment: Mapping[str, str], *, ends_itself: bool = False) -> None:
        """``ends_itself``: it is expected to refuse to start."""
        self.role = role
        self.url = ""
        self.log = ""
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 - as long as the process
        self._process = subprocess.Popen(
            [str(script("runfold")), "serve", role, "--port", "0", "--log-format", "json"],
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        # Whatever happens, no test leaves a process behind.
        self._watchdog = threading.Timer(ROLE_S_MAX, self._process.kill)
        self._watchdog.start()
        if not ends_itself:
            self._await_ready()

    def _await_ready(self) -> None:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if " ready at " not in line:
            self._process.kill()
            raise AssertionError((self.role, line, self.end()))
        self.url = line.rpartition(" ready at ")[2].strip()

    def __enter__(self) -> RoleProcess:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        code = self.stop()
        if kind is not None:
            sys.stderr.write(self.log)
        assert kind is not None or code == 0, self.log

    def stop(self) -> int:
        """Ask it to end, and wait; the exit code."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        return self.end()

    def end(self) -> int:
        """Wait for its end; the exit code."""
        code = self._process.wait(STOP_S_MAX)
        self._watchdog.cancel()
        self._watchdog.join()
        if not self._errors.closed:
            self._errors.seek(0)
            self.log = self._errors.read()
            self._errors.close()
        if self._process.stdout is not None:
            self._process.stdout.close()
        return code
