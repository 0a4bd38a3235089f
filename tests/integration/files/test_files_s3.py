"""The file store in a real server that speaks S3."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from runfold import Experiment, Unavailable, Workspace, _process
from runfold_events.contract.errors import Invalid
from runfold_services.compose import files as compose_files
from runfold_services.compose import open_embedded
from runfold_services.compose.files import open_files
from runfold_services.files.port import FileStore
from runfold_services.testing.files_contract import RUN, FileStoreContract, W, read_bytes, store_bytes
from tests.support.http_server import running
from tests.support.s3 import S3Server, s3_server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """One server for all tests of this module, each with a prefix of its own."""
    with s3_server(tmp_path_factory.mktemp("s3")) as running_server:
        yield running_server


@pytest.fixture(autouse=True)
def told(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The usual variables say where the server is."""
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)


class TestFilesInS3(FileStoreContract):
    """``RUNFOLD_FILES=s3://bucket/prefix``."""

    @pytest.fixture(autouse=True)
    def known_server(self, server: S3Server) -> None:
        self.server = server

    def open_store(self, place: Path) -> FileStore:
        return open_files(self.server.address(place.name), None)

    def test_of_two_who_append_at_one_place_one_is_told(self, store: FileStore) -> None:
        """This server knows no conditional writes: more may be told that they were first, and one of them stands."""
        ends, refused = self.append_at_once(store)
        assert len(ends) + len(refused) == 6
        assert ends
        log = store.read_log(W, RUN, "log", 0, 100)
        assert log in {b"start writer %d" % n for n in range(6)}


def test_runs_keep_their_files_there(
    server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over a server and embedded: one setting, one variable."""
    address = server.address(f"runs-{uuid4().hex}")
    monkeypatch.chdir(tmp_path)
    with running(open_embedded(tmp_path / "home", background=False, files=address)) as api:
        run = Experiment(Workspace(url=api.url), "e").start_logging()
        run.upload_file("model.bin", io.BytesIO(b"weights" * 1_000_000))
        run.complete()
        _process.close_all()
    monkeypatch.setenv("RUNFOLD_FILES", address)
    again = Workspace(home=tmp_path / "home").get_run(run.id)
    again.download_file("model.bin")
    assert (tmp_path / "model.bin").read_bytes() == b"weights" * 1_000_000
    assert not (tmp_path / "home/files").exists(), "nothing lies in the home"


def test_a_bucket_that_is_not_there_is_said_and_nothing_is_recorded(tmp_path: Path) -> None:
    files = open_files("s3://no-such-bucket/x", None)
    with pytest.raises(Unavailable, match="no such bucket"):
        store_bytes(files, b"x")


def test_a_server_that_is_gone_is_said_and_an_upload_is_whole_or_absent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with s3_server(tmp_path) as own:
        for name, value in own.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(compose_files, "RETRY_S_MAX", 0.5)
        files = open_files(own.address("x"), None)
        before = store_bytes(files, b"before")
        assert read_bytes(files, before.sha256) == b"before"
    with pytest.raises(Unavailable):
        store_bytes(files, b"after")


@pytest.mark.parametrize("place", ["ftp://x/y", "s3://", "http://x/y", "s3:///y"])
def test_places_that_cannot_be(place: str) -> None:
    with pytest.raises(Invalid, match="RUNFOLD_FILES"):
        open_files(place, None)


def test_the_child_of_a_fork_is_told_that_it_cannot(server: S3Server) -> None:
    """The control for it is in docs/decisions/0070: without the check the child hangs."""
    files = open_files(server.address(f"fork-{uuid4().hex}"), None)
    store_bytes(files, b"parent")
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        said = "nothing"
        try:
            store_bytes(files, b"child")
        except BaseException as error:
            said = str(error)
        os.write(write_end, said.encode())
        os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        assert b"forked" in pipe.read()
    os.waitpid(child, 0)
