"""Which workspace a program records into: files, environment, arguments."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from runfold import Invalid, Workspace, _workspace
from runfold._settings import load_settings
from runfold.exceptions import UserErrorException

SCOPE = "/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/{}"


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "a" / "b" / "c"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    for name in ("RUNFOLD_WORKSPACE", "RUNFOLD_STRICT", "TRACEPARENT"):
        monkeypatch.delenv(name, raising=False)
    return folder


def write(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    return path


def named(name: str) -> dict[str, str]:
    return {"subscription_id": "s", "resource_group": "g", "workspace_name": name}


# ── files ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parity("WS-01")
def test_each_candidate_walks_to_the_root_before_the_next(tmp_path: Path) -> None:
    places = [
        "a/b/c/project.json",
        "a/b/c/config.json",
        "a/b/c/aml_config/project.json",
        "a/b/c/aml_config/config.json",
        "a/b/c/.azureml/project.json",
        "a/.azureml/config.json",
    ]
    for n, place in enumerate(places):
        write(tmp_path / place, named(f"w{n}"))
        assert Workspace.from_config().name == f"w{n}", place
    write(tmp_path / "a/b/.azureml/config.json", named("nearer"))
    assert Workspace.from_config().name == "nearer"


@pytest.mark.parity("WS-02")
@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (named("w"), ("w", "s", "g")),
        ({"Id": None, "Scope": SCOPE.format("w")}, ("w", "s", "g")),
        ({"Id": "x", "Scope": SCOPE.format("w") + "/projects/e"}, ("w", "s", "g")),
        ({**named("other"), "Scope": SCOPE.format("w")}, ("w", "s", "g")),
        ({"workspace_name": "w"}, ("w", None, None)),
        ({"workspace_name": "w", "url": "http://127.0.0.1:9/"}, ("w", None, None)),
    ],
)
def test_both_layouts(in_an_empty_folder: Path, content: Any, expected: tuple[str, ...]) -> None:
    write(in_an_empty_folder / ".azureml/config.json", content)
    workspace = Workspace.from_config()

    assert (workspace.name, workspace.subscription_id, workspace.resource_group) == expected
    if "url" in content:
        assert workspace.location == "http://127.0.0.1:9"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "does not seem to contain the required parameters"),
        ({"subscription_id": "s"}, "does not seem to contain the required parameters"),
        ({"Scope": "/subscriptions/s"}, "does not seem to contain the required parameters"),
        ([1], "does not seem to contain the required parameters"),
        ("no json", "cannot be read"),
        ("[" * 100_000, "cannot be read"),
        ({"workspace_name": "a/b"}, "workspace_name"),
        ({"workspace_name": "w", "url": "ftp://somewhere"}, "url"),
    ],
)
def test_files_that_say_nothing_useful(in_an_empty_folder: Path, content: Any, message: str) -> None:
    path = write(in_an_empty_folder / "config.json", content)
    with pytest.raises(UserErrorException, match=message):
        Workspace.from_config()
    with pytest.raises(Invalid, match=message):
        Workspace.from_config(path)


def test_a_path_that_is_given_must_lead_to_a_file(tmp_path: Path, in_an_empty_folder: Path) -> None:
    with pytest.raises(
        UserErrorException, match=r"workspace configuration file config.json, could not be found in"
    ):
        Workspace.from_config(tmp_path)
    file = write(tmp_path / "elsewhere.json", named("exactly"))
    assert Workspace.from_config(file).name == "exactly"
    assert Workspace.from_config(str(file)).name == "exactly"
    write(tmp_path / "a/.azureml/other.json", named("by file name"[:2]))
    assert Workspace.from_config(_file_name="other.json").name == "by"
    with pytest.raises(UserErrorException, match=r"other.json"):
        Workspace.from_config(tmp_path / "missing", _file_name="other.json")


@pytest.mark.parity("WS-03")
def test_write_config_writes_the_form_with_a_scope(in_an_empty_folder: Path, tmp_path: Path) -> None:
    Workspace("s", "g", "w").write_config()
    written = json.loads((in_an_empty_folder / ".azureml/config.json").read_text("utf-8"))
    assert written == {"Id": None, "Scope": SCOPE.format("w")}
    assert Workspace.from_config().subscription_id == "s"

    Workspace(workspace_name="v", url="http://127.0.0.1:9").write_config(tmp_path / "x", "mine.json")
    again = Workspace.from_config(tmp_path / "x" / ".azureml" / "mine.json")
    assert (again.name, again.subscription_id, again.location) == ("v", None, "http://127.0.0.1:9")


# ── environment ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("opened", [Workspace, Workspace.from_config])
def test_without_a_file_and_a_server_it_is_the_embedded_default_and_says_so_once(
    opened: Any, own_home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_workspace, "_told", set[str]())
    first, second = opened(), opened()
    told = capsys.readouterr()

    assert first.name == second.name == "default"
    assert first.location == str(own_home)
    assert told.out == ""
    assert told.err.count("\n") == 1
    assert "'default'" in told.err
    assert str(own_home) in told.err


def test_whoever_says_where_to_record_is_not_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(_workspace, "_told", set[str]())
    Workspace(workspace_name="w")
    Workspace(home=tmp_path)
    Workspace(url="http://127.0.0.1:9")
    monkeypatch.setenv("RUNFOLD_URL", "http://127.0.0.1:9")
    Workspace()

    assert capsys.readouterr() == ("", "")


def test_the_environment_wins_over_a_files_url(
    in_an_empty_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(in_an_empty_folder / "config.json", {"workspace_name": "w", "url": "http://127.0.0.1:9"})
    monkeypatch.setenv("RUNFOLD_URL", "http://127.0.0.1:10/")
    workspace = Workspace.from_config()

    assert (workspace.name, workspace.location) == ("w", "http://127.0.0.1:10")


def test_arguments_win_over_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RUNFOLD_URL", "http://127.0.0.1:10/")
    monkeypatch.setenv("RUNFOLD_WORKSPACE", "from-env")

    assert Workspace().name == "from-env"
    assert Workspace(url="http://127.0.0.1:9").location == "http://127.0.0.1:9"
    assert Workspace(home=tmp_path).location == str(tmp_path)
    assert Workspace(workspace_name="given").name == "given"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("RUNFOLD_URL", "127.0.0.1:8765"),
        ("RUNFOLD_URL", "http://"),
        ("RUNFOLD_URL", "http://a b"),
        ("RUNFOLD_WORKSPACE", "a/b"),
        ("RUNFOLD_STRICT", "maybe"),
    ],
)
def test_variables_that_cannot_be_meant(variable: str, value: str) -> None:
    with pytest.raises(Invalid) as caught:
        load_settings({"RUNFOLD_HOME": "x", variable: value})
    assert caught.value.field == variable


def test_settings() -> None:
    traceparent = f"00-{'a' * 32}-{'b' * 16}-01"
    settings = load_settings(
        {"RUNFOLD_HOME": "~/x", "RUNFOLD_STRICT": "1", "RUNFOLD_TOKEN": "t", "TRACEPARENT": traceparent}
    )

    assert settings.home == Path.home() / "x"
    assert settings.strict
    assert settings.token == "t"
    assert settings.traceparent == traceparent
    assert load_settings({"RUNFOLD_HOME": "x", "TRACEPARENT": "nonsense"}).traceparent is None
    assert load_settings({}).home.name == "runfold"


@pytest.mark.parametrize("name", ["a/b", "", "a b", "_system", "x" * 65, "é"])
def test_workspace_names_that_cannot_be(name: str) -> None:
    if name:
        with pytest.raises(Invalid):
            Workspace(workspace_name=name)
    else:
        assert Workspace(workspace_name=name).name == "default"


def test_a_workspace_travels_without_its_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = Workspace("s", "g", "w", url="http://127.0.0.1:9", token="secret", strict=True)
    data = pickle.dumps(workspace)
    monkeypatch.setenv("RUNFOLD_TOKEN", "theirs")
    again = pickle.loads(data)

    assert b"secret" not in data
    assert (again.name, again.location, again.subscription_id) == ("w", "http://127.0.0.1:9", "s")
    assert again._token == "theirs"


def test_handles_on_the_same_place_share_a_connection(tmp_path: Path) -> None:
    one, same = Workspace(home=tmp_path), Workspace(workspace_name="other", home=tmp_path)
    other = Workspace(home=tmp_path / "other")

    assert one._connection is same._connection  # pyright: ignore[reportPrivateUsage]
    assert one._connection is not other._connection  # pyright: ignore[reportPrivateUsage]
