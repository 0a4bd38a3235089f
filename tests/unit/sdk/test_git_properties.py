"""What git says of a submitted folder, and what it must not say."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from runfold import _git
from runfold._git import git_properties, without_credentials

NO_OVERRIDES: dict[str, str] = {}


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main")
    done = subprocess.run(
        ["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q")
    (tmp_path / "train.py").write_text("print(1)")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "first")
    return tmp_path


@pytest.mark.parity("PR-06")
def test_commit_branch_and_remote_are_properties_under_both_names(repository: Path) -> None:
    git(repository, "remote", "add", "origin", "https://user:s3cr3t@host.example/team/r.git")
    commit = git(repository, "rev-parse", "HEAD")
    assert git_properties(repository, NO_OVERRIDES) == {
        "azureml.git.repository_uri": "https://host.example/team/r.git",
        "azureml.git.branch": "main",
        "azureml.git.commit": commit,
        "azureml.git.dirty": "False",
        "mlflow.source.git.repoURL": "https://host.example/team/r.git",
        "mlflow.source.git.branch": "main",
        "mlflow.source.git.commit": commit,
    }


def test_a_changed_file_makes_it_dirty_also_below_the_top(repository: Path) -> None:
    below = repository / "below"
    below.mkdir()
    assert git_properties(below, NO_OVERRIDES)["azureml.git.dirty"] == "False"
    (repository / "train.py").write_text("print(2)")
    assert git_properties(repository, NO_OVERRIDES)["azureml.git.dirty"] == "True"


def test_a_detached_head_has_no_branch_and_an_empty_repository_no_commit(
    repository: Path, tmp_path: Path
) -> None:
    git(repository, "checkout", "-q", "--detach")
    assert "azureml.git.branch" not in git_properties(repository, NO_OVERRIDES)
    empty = tmp_path / "empty"
    empty.mkdir()
    git(empty, "init", "-q")
    assert git_properties(empty, NO_OVERRIDES) == {
        "azureml.git.branch": "main" if git(empty, "symbolic-ref", "--short", "HEAD") == "main" else "master",
        "azureml.git.dirty": "False",
        "mlflow.source.git.branch": git(empty, "symbolic-ref", "--short", "HEAD"),
    }


def test_no_repository_and_no_git_mean_no_properties(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outside = {"GIT_CEILING_DIRECTORIES": str(tmp_path.parent)}
    for name, value in outside.items():
        monkeypatch.setenv(name, value)
    assert git_properties(tmp_path, NO_OVERRIDES) == {}
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_properties(tmp_path, NO_OVERRIDES) == {}


def test_the_environment_wins_and_is_cleaned_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def facts(folder: Path) -> dict[str, str]:
        return {"branch": "main"}

    monkeypatch.setattr(_git, "_facts", facts)
    given = {
        "AZUREML_GIT_REPOSITORY_URI": "https://token@host/r",
        "AZUREML_GIT_BRANCH": "release",
        "AZUREML_GIT_BUILD_ID": "17",
        "AZUREML_GIT_BUILD_URI": "https://ci.example/17?token=s3cr3t",
    }
    found = git_properties(tmp_path, given)
    assert found["azureml.git.branch"] == found["mlflow.source.git.branch"] == "release"
    assert found["azureml.git.repository_uri"] == "https://host/r"
    assert (found["azureml.git.build_id"], found["azureml.git.build_uri"]) == ("17", "https://ci.example/17")


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://user:s3cr3t@host/r.git", "https://host/r.git"),
        ("https://ghp_s3cr3t@host:8443/r.git", "https://host:8443/r.git"),
        ("https://us%40er:p@ss:w0rd@host/r", "https://host/r"),
        ("HTTPS://user:s3cr3t@host/r", "HTTPS://host/r"),
        ("ssh://git:s3cr3t@host:22/r.git", "ssh://host:22/r.git"),
        ("https://host/r.git?access_token=s3cr3t#s3cr3t", "https://host/r.git"),
        ("git@host.example:team/r.git", "host.example:team/r.git"),
        ("host.example:team/r.git", "host.example:team/r.git"),
        ("/srv/git/r.git", "/srv/git/r.git"),
        ("../r.git", "../r.git"),
    ],
)
def test_credentials_are_left_out_of_addresses(address: str, shown: str) -> None:
    assert without_credentials(address) == shown
    assert "s3cr3t" not in without_credentials(address)
