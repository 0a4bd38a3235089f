"""The distributed set-up as ``runfold up --kafka … --postgres …`` starts it, over a database and topics of its own."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from runfold_events.buses.kafka import Cluster, CommandProducer
from runfold_events.contract.submission import Submission
from tests.support.repository import ON_WHEEL, ROOT, SOURCE_ROOTS
from tests.support.stack import StackForTest, run_apart

READY: Final = "runfold ready at "
STOP_S_MAX: Final = 60.0


def child_environment(**more: str) -> dict[str, str]:
    """For processes of the suite that run what the suite tests."""
    env = {**os.environ, "PYTHONUNBUFFERED": "1", **more}
    if not ON_WHEEL:
        env["PYTHONPATH"] = os.pathsep.join(str(ROOT / root) for root in SOURCE_ROOTS)
    return env


class DistributedProcess:
    """Started at once; :meth:`ready` waits. What it logs is in ``log``."""

    def __init__(
        self,
        stack: StackForTest,
        folder: Path,
        *,
        dsn: str | None = None,
        prefix: str | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.stack = stack
        self.dsn = dsn or stack.database()  # the owner's
        self.prefix = prefix or f"t{secrets.token_hex(5)}"
        self.log = folder / "up.log"
        env = child_environment(RUNFOLD_KAFKA_PREFIX=self.prefix, **(environment or {}))
        command = [sys.executable, "-m", "runfold.cli.main", "up", "--port", "0"]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, "--kafka", stack.kafka, "--postgres", self.dsn],
                env=env,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self.url = ""

    def __enter__(self) -> DistributedProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def ready(self) -> str:
        """Wait for the ready line; its URL."""
        assert self.process.stdout is not None
        if not self.url:
            line = self.process.stdout.readline()
            assert line.startswith(READY), (line, self.log.read_text("utf-8"))
            self.url = line.removeprefix(READY).strip()
        return self.url

    def status_urls(self) -> dict[str, str]:
        """Where the roles beside the API tell their health."""
        notes = (line.split() for line in self.log.read_text("utf-8").splitlines())
        return {words[1]: words[3] for words in notes if words[:1] == ["runfold:"] and words[2:3] == ["at"]}

    def send_by_kafka(self, partitions: int, submissions: Sequence[Submission]) -> None:
        """Have the command topic take commands, all of them or an error."""

        async def work() -> None:
            producer = CommandProducer(
                Cluster(bootstrap_servers=self.stack.kafka), f"{self.prefix}.commands", partitions
            )
            try:
                await producer.send(list(submissions))
            finally:
                await producer.stop()

        run_apart(work)

    def stop(self) -> int:
        """Have everything end; the exit code. Whoever does not is killed, and the caller sees it by the code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        watchdog = threading.Timer(STOP_S_MAX, self.process.kill)
        watchdog.start()
        try:
            return self.process.wait()
        finally:
            watchdog.cancel()
            watchdog.join()
            if self.process.stdout is not None:
                self.process.stdout.close()
