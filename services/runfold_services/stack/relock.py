"""For maintainers: another version of the broker. ``python -m runfold_services.stack.relock VERSION``"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from runfold_services.stack.jars import BROKER, LOCK_FILE, maven, trusting
from runfold_services.stack.settings import settings_from_environment

# The broker logs through slf4j, whose default is to say nothing; this implementation writes to stderr.
_LOGGING_GROUP: Final = "org.slf4j"
_LOGGING_API: Final = "slf4j-api"
_LOGGING: Final = "slf4j-simple"


def write_lock_file(version: str) -> None:
    """Resolve the broker with what it needs, fetch it, and write ``jars.lock``."""
    import jgo

    with trusting(settings_from_environment().certificates), TemporaryDirectory() as scratch:
        context = maven(Path(scratch))
        found = [(a.groupId, a.artifactId, a.version) for a in jgo.resolve(f"{BROKER}:{version}")]
        api = next(v for group, artifact, v in found if (group, artifact) == (_LOGGING_GROUP, _LOGGING_API))
        found.append((_LOGGING_GROUP, _LOGGING, api))
        lines = [
            "# The Kafka broker and what it needs. Written by runfold_services/stack/relock.py, read by jars.py.",
            f"# Resolved from {BROKER}:{version}. Sizes are bytes.",
        ]
        for group, artifact, of in sorted(set(found)):
            body = context.project(group, artifact).at_version(of).artifact().resolve().read_bytes()
            lines.append(f"{group}:{artifact}:{of} {len(body)} sha256:{hashlib.sha256(body).hexdigest()}")
    LOCK_FILE.write_text("\n".join(lines) + "\n", "utf-8")


if __name__ == "__main__":
    write_lock_file(sys.argv[1])
