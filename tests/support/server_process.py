"""A server in a process of its own, started as ``runfold up`` starts it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.support.repository import ON_WHEEL, ROOT, SOURCE_ROOTS

WAIT_S: Final = 30.0
_PROGRAM: Final = """
import sys
from pathlib import Path
from runfold_services.compose import open_embedded
from runfold_services.server import serve
from runfold_services.settings import settings_from_environment
from msgspec.structs import replace
from runfold_events.contract.errors import RunfoldError
settings = settings_from_environment(host=sys.argv[2], port=int(sys.argv[3]))
settings = replace(settings, lease_s=float(sys.argv[4]), stop_s=float(sys.argv[5]))
try:
    serve(open_embedded(Path(sys.argv[1]), background=False, lease_s=settings.lease_s), settings)
except RunfoldError as error:
    sys.exit(f"runfold: {error}")
"""


class ServerProcess:
    """``output`` and ``errors`` are known once the process ended. ``preamble`` is run in it first."""

    def __init__(
        self,
        home: Path,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        lease_s: float = 120.0,
        stop_s: float = 5.0,
        preamble: str = "",
        environment: Mapping[str, str] | None = None,
        life_s_max: float = 60.0,
    ) -> None:
        env = {**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})}
        if not ON_WHEEL:
            env["PYTHONPATH"] = os.pathsep.join(str(ROOT / root) for root in SOURCE_ROOTS)
        arguments = [str(home), host, str(port), str(lease_s), str(stop_s)]
        self.process = subprocess.Popen(
            [sys.executable, "-c", preamble + _PROGRAM, *arguments],
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.output = ""
        self.errors = ""
        # Whatever happens, no test leaves a process behind.
        self._watchdog = threading.Timer(life_s_max, self.process.kill)
        self._watchdog.start()

    def __enter__(self) -> ServerProcess:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.wait()

    def ready(self) -> str:
        """Wait for the ready line; its URL."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        self.output += line
        assert line.startswith("runfold ready at http://"), (line, self.wait(), self.errors)
        return line.removeprefix("runfold ready at ").strip()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def wait(self) -> int:
        """Wait for the end; the exit code."""
        if self.process.stdout is not None and not self.process.stdout.closed:
            output, self.errors = self.process.communicate(timeout=WAIT_S)
            self.output += output
        self._watchdog.cancel()
        self._watchdog.join()
        return self.process.wait(WAIT_S)
