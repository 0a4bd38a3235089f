"""The broker's Java archives: which ones, their hashes, and how they come to this machine.

``jars.lock`` names every archive with its size and SHA-256, so a broker is the same bytes everywhere, and nothing needs
to be resolved when it is fetched. A new version: ``python -m runfold_services.stack.relock VERSION``.

Where archives come from is jgo's affair: its default repository, or what the user's jgo configuration file names in
``[repositories]`` (a mirror is named ``central`` there).
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from runfold_services.stack.folders import locked
from runfold_services.stack.port import Progress, StackError

if TYPE_CHECKING:
    from jgo.maven import MavenContext

LOCK_FILE: Final = Path(__file__).with_name("jars.lock")
BROKER: Final = "org.apache.kafka:kafka_2.13"
_FETCHERS: Final = 8
_TRIES: Final = 3
AGAIN_S: Final = 1.0
_TIMEOUT_S: Final = 60


class Jar(Struct, frozen=True):
    """One archive of the lock file."""

    group: str
    artifact: str
    version: str
    size: int
    sha256: str

    @property
    def file_name(self) -> str:
        return f"{self.artifact}-{self.version}.jar"


def locked_jars() -> list[Jar]:
    """What ``jars.lock`` names."""
    found: list[Jar] = []
    for line in LOCK_FILE.read_text("utf-8").splitlines():
        if line and not line.startswith("#"):
            coordinate, size, digest = line.split()
            group, artifact, version = coordinate.split(":")
            found.append(Jar(group, artifact, version, int(size), digest.removeprefix("sha256:")))
    return found


def kafka_version() -> str:
    return next(jar.version for jar in locked_jars() if f"{jar.group}:{jar.artifact}" == BROKER)


def jars_folder(cache: Path) -> Path:
    """Where the archives are once they are all there: its name changes with any of them."""
    digest = hashlib.sha256(LOCK_FILE.read_bytes()).hexdigest()[:12]
    return cache / "stack" / f"kafka-{kafka_version()}-{digest}"


def fetch(cache: Path, certificates: Path | None, progress: Progress) -> Path:
    """The folder with every archive of the lock file, fetched if it is not there yet.

    Raises:
        StackError: an archive cannot be had, or is not the one that the lock file means.
    """
    folder = jars_folder(cache)
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with locked(folder.with_name(f"{folder.name}.lock")):
        # The folder gets its name when all is in it, so whoever is killed half way leaves nothing that looks whole.
        if not folder.is_dir():
            with TemporaryDirectory(dir=folder.parent, prefix=f"{folder.name}.part-") as unfinished:
                _fetch_all(Path(unfinished), certificates, progress)
                (Path(unfinished) / "jars").rename(folder)
    return folder


def _fetch_all(unfinished: Path, certificates: Path | None, progress: Progress) -> None:
    jars = locked_jars()
    (unfinished / "jars").mkdir()
    what = f"fetching Kafka {kafka_version()}"
    count, guard, done, total = 0, Lock(), 0, sum(jar.size for jar in jars)
    progress(what, 0, total)

    def fetch_one(jar: Jar) -> None:
        nonlocal count, done
        _fetch_checked(context, jar, unfinished / "jars")
        with guard:
            count, done = count + 1, done + jar.size
            progress(f"{what}: {count} of {len(jars)} files", done, total)

    with trusting(certificates):
        context = maven(unfinished / "repository")
        with ThreadPoolExecutor(_FETCHERS, thread_name_prefix="fetch") as pool:
            # The largest first: the last of them decides when all is there.
            for _ in pool.map(fetch_one, sorted(jars, key=lambda jar: -jar.size)):
                pass


def _fetch_checked(context: MavenContext, jar: Jar, folder: Path) -> None:
    artifact = context.project(jar.group, jar.artifact).at_version(jar.version).artifact()
    file = _again_after_failure(artifact.resolve, artifact.cached_path, jar.file_name)
    if hashlib.sha256(file.read_bytes()).hexdigest() != jar.sha256:
        raise StackError(f"{jar.file_name} was fetched, but it is not the file that runfold was made with")
    file.replace(folder / jar.file_name)


def _again_after_failure(resolve: Callable[[], Path], cached: Path | None, name: str) -> Path:
    for left in reversed(range(_TRIES)):
        try:
            return resolve()
        except Exception as error:  # whatever the HTTP library or the resolver raises
            if cached is not None:
                cached.unlink(missing_ok=True)  # jgo writes in place and would take the half for the whole
            if not left:
                raise StackError(
                    f"could not fetch {name}: {error}. The broker comes from a Maven repository; a mirror of it is "
                    "named in jgo's configuration file (section [repositories], key central)"
                ) from error
            time.sleep(AGAIN_S)
    raise AssertionError("the last try returns or raises")


def maven(repository: Path) -> MavenContext:
    from jgo.config import GlobalSettings
    from jgo.maven import MavenContext

    default = MavenContext(repo_cache=repository).remote_repos
    named = GlobalSettings.load().repositories
    return MavenContext(repo_cache=repository, remote_repos={**default, **named}, timeout=_TIMEOUT_S)


@contextmanager
def trusting(certificates: Path | None) -> Generator[None]:
    """jgo fetches with requests, which reads this variable and not what other tools read."""
    name = "REQUESTS_CA_BUNDLE"
    before = os.environ.get(name)
    if before is None and certificates is not None:
        os.environ[name] = str(certificates)
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(name, None)
