"""How the broker's archives come to this machine: whole, the right ones, once. Without the network."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from runfold_services.stack import StackError, jars, settings_from_environment
from runfold_services.stack.jars import Jar

BODY = b"an archive"
JARS = [
    Jar("org.one", "one", "1.0", len(BODY), hashlib.sha256(BODY).hexdigest()),
    Jar("org.two", "two", "2.0", len(BODY), hashlib.sha256(BODY).hexdigest()),
]


class Repository:
    """Stands in for jgo: writes in place, as jgo does, whatever `deliver` gives or half of it when that raises."""

    def __init__(self, folder: Path, deliver: Callable[[str], bytes]) -> None:
        self.folder, self.deliver, self.asked = folder, deliver, list[str]()

    def project(self, group: str, artifact: str) -> Repository:
        return self._named(f"{artifact}")

    def at_version(self, version: str) -> Repository:
        return self._named(f"{self.name}-{version}.jar")

    def artifact(self) -> Repository:
        return self

    def _named(self, name: str) -> Repository:
        other = Repository(self.folder, self.deliver)
        other.asked, other.name = self.asked, name
        return other

    name = ""

    @property
    def cached_path(self) -> Path:
        return self.folder / self.name

    def resolve(self) -> Path:
        if self.cached_path.exists():
            return self.cached_path
        self.asked.append(self.name)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.cached_path.write_bytes(BODY[:3])
        self.cached_path.write_bytes(self.deliver(self.name))
        return self.cached_path


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    made = Repository(tmp_path / "repository", lambda name: BODY)

    def maven(folder: Path) -> Repository:
        return made

    monkeypatch.setattr(jars, "locked_jars", lambda: JARS)
    monkeypatch.setattr(jars, "kafka_version", lambda: "1.0")
    monkeypatch.setattr(jars, "maven", maven)
    monkeypatch.setattr(jars, "AGAIN_S", 0.0)
    return made


def fetch(cache: Path, told: list[tuple[str, int, int]] | None = None) -> Path:
    return jars.fetch(cache, None, lambda what, done=0, total=0: (told or []).append((what, done, total)))


def test_archives_are_fetched_once_and_every_byte_is_told(tmp_path: Path, repository: Repository) -> None:
    told: list[tuple[str, int, int]] = [("", 0, 0)]

    folder = fetch(tmp_path / "cache", told)
    again = fetch(tmp_path / "cache", told)

    assert again == folder
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == {
        "one-1.0.jar": BODY,
        "two-2.0.jar": BODY,
    }
    assert sorted(repository.asked) == ["one-1.0.jar", "two-2.0.jar"]
    assert told[-1] == ("fetching Kafka 1.0: 2 of 2 files", 2 * len(BODY), 2 * len(BODY))


def test_an_archive_with_other_bytes_is_refused_and_nothing_is_kept(
    tmp_path: Path, repository: Repository
) -> None:
    def forge(name: str) -> bytes:
        return b"forged" if name.startswith("two") else BODY

    repository.deliver = forge

    with pytest.raises(StackError, match=r"two-2\.0\.jar was fetched, but it is not the file"):
        fetch(tmp_path / "cache")

    assert [path for path in (tmp_path / "cache" / "stack").iterdir() if path.is_dir()] == []


def test_half_an_archive_is_thrown_away_and_asked_for_again(tmp_path: Path, repository: Repository) -> None:
    def break_once(name: str) -> bytes:
        if repository.asked.count(name) == 1:
            raise ConnectionResetError("in the middle")
        return BODY

    repository.deliver = break_once

    assert len(list(fetch(tmp_path / "cache").iterdir())) == 2
    assert len(repository.asked) == 4


def test_who_cannot_be_reached_is_said_with_what_to_do(tmp_path: Path, repository: Repository) -> None:
    def fail(name: str) -> bytes:
        raise ConnectionRefusedError("nobody there")

    repository.deliver = fail

    with pytest.raises(StackError, match=r"could not fetch .*nobody there.*\[repositories\]"):
        fetch(tmp_path / "cache")


def test_the_lock_file_names_the_broker_and_what_makes_it_log() -> None:
    named = {f"{jar.group}:{jar.artifact}" for jar in jars.locked_jars()}

    assert {jars.BROKER, "org.slf4j:slf4j-simple"} <= named
    assert jars.kafka_version().startswith("4.")
    assert all(len(jar.sha256) == 64 and jar.size > 0 for jar in jars.locked_jars())


def test_certificates_named_for_other_tools_serve_while_fetching(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """requests reads one variable, OpenSSL another."""
    bundle = tmp_path / "authorities.pem"
    settings = settings_from_environment({"SSL_CERT_FILE": str(bundle), "HOME": str(tmp_path)})
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)

    with jars.trusting(settings.certificates):
        assert os.environ["REQUESTS_CA_BUNDLE"] == str(bundle)
    assert "REQUESTS_CA_BUNDLE" not in os.environ


def test_certificates_named_for_fetching_are_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/the/user's.pem")

    with jars.trusting(tmp_path / "other.pem"):
        assert os.environ["REQUESTS_CA_BUNDLE"] == "/the/user's.pem"
    assert os.environ["REQUESTS_CA_BUNDLE"] == "/the/user's.pem"
