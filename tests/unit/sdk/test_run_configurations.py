"""Run configurations: attributes, files, and what an agent is told."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
import yaml

from runfold import Environment, RunConfiguration, ScriptRunConfig
from runfold import _definition as definitions
from runfold.errors import Invalid
from runfold.runconfig import DEFAULT_CPU_IMAGE, DockerConfiguration


@pytest.mark.parity("SC-02")
def test_defaults_are_azures() -> None:
    config = RunConfiguration()
    assert (config.target, config.framework, config.communicator, config.node_count) == (
        "local",
        "Python",
        "None",
        1,
    )
    assert (config.history.output_collection, config.history.snapshot_project) == (True, True)
    assert config.history.directories_to_watch == ["logs"]
    assert (config.docker.use_docker, config.docker.shared_volumes, config.docker.shm_size) == (
        False,
        True,
        "2g",
    )
    python = config.environment.python
    assert (python.user_managed_dependencies, python.interpreter_path) == (False, "python")
    assert config.environment.docker.base_image == DEFAULT_CPU_IMAGE
    assert config.environment_variables == {}
    assert config.max_run_duration_seconds is None


@pytest.mark.parity("SC-02")
def test_what_is_saved_is_loaded_again_under_azures_keys(tmp_path: Path) -> None:
    config = RunConfiguration(script="train.py", arguments=["--lr", 0.1])
    config.target = "gpu-compute"
    config.environment.docker.enabled = True
    config.environment.python.user_managed_dependencies = True
    config.environment_variables = {"A": "b"}
    config.history.directories_to_watch = ["logs", "more"]
    config.save(tmp_path, "sklearn.runconfig")
    written = yaml.safe_load((tmp_path / ".azureml" / "sklearn.runconfig").read_text())
    assert (written["target"], written["nodeCount"], written["maxRunDurationSeconds"]) == (
        "gpu-compute",
        1,
        None,
    )
    assert written["environment"]["docker"]["enabled"] is True
    assert written["environment"]["python"]["userManagedDependencies"] is True
    assert written["history"]["directoriesToWatch"] == ["logs", "more"]
    assert written["environmentVariables"] == {"A": "b"}
    for name in ("sklearn", "sklearn.runconfig"):
        assert RunConfiguration.load(tmp_path, name) == config
    assert RunConfiguration.load(tmp_path / ".azureml" / "sklearn.runconfig") == config
    RunConfiguration.delete(tmp_path, "sklearn")
    with pytest.raises(Invalid, match="there is no run configuration 'sklearn'"):
        RunConfiguration.load(tmp_path, "sklearn")


def test_the_environment_may_have_a_file_of_its_own(tmp_path: Path) -> None:
    config = RunConfiguration()
    config.environment.name = "apart"
    config.save(tmp_path, "one", separate_environment_yaml=True)
    assert yaml.safe_load((tmp_path / ".azureml" / "one").read_text())["environment"] == "one.environment.yml"
    assert RunConfiguration.load(tmp_path, "one") == config


def test_a_file_of_azure_ml_is_read_and_what_means_nothing_here_is_kept(tmp_path: Path) -> None:
    (tmp_path / ".azureml").mkdir()
    (tmp_path / ".azureml" / "local.runconfig").write_text(
        "script: train.py\narguments: []\ntarget: local\nframework: Python\nmaxRunDurationSeconds:\n"
        "environment:\n  python:\n    interpreterPath: python3\n    userManagedDependencies:\n"
        "  environmentVariables:\n    EXAMPLE_ENV_VAR: EXAMPLE_VALUE\n  docker:\n    enabled: false\n    baseImage: x\n"
        "hdi:\n  yarnDeployMode: cluster\ndataReferences: {}\n"
    )
    config = RunConfiguration.load(tmp_path, "local")
    assert config.environment.python.interpreter_path == "python3"
    assert config.environment.python.user_managed_dependencies is False
    assert config.environment.environment_variables == {"EXAMPLE_ENV_VAR": "EXAMPLE_VALUE"}
    config.save(tmp_path)
    again = yaml.safe_load((tmp_path / ".azureml" / "local.runconfig").read_text())
    assert (again["hdi"], again["dataReferences"]) == ({"yarnDeployMode": "cluster"}, {})


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("[1, 2]", "it holds no mapping"),
        ("a: [", "cannot be read"),
        ("environment: 3", "environment must be a mapping"),
        ("history:\n  outputCollection: perhaps", "history.outputCollection must be bool"),
        ("arguments: text", "arguments must be list"),
        ("environment:\n  docker: [1]", "environment.docker must be a mapping"),
        ("target: [1]", "target must be str"),
        ("!!python/object/apply:os.system ['true']", "cannot be read"),
    ],
)
def test_a_file_that_is_none_says_where(tmp_path: Path, text: str, place: str) -> None:
    (tmp_path / "c").write_text(text)
    with pytest.raises(Invalid, match=place.replace(".", r"\.")):
        RunConfiguration.load(tmp_path / "c")


@pytest.mark.parametrize("name", ["../up", "a/b", "/etc/passwd", "..", ""])
def test_a_name_leads_nowhere_else(tmp_path: Path, name: str) -> None:
    with pytest.raises(Invalid):
        RunConfiguration().save(tmp_path, name or None)
    with pytest.raises(Invalid):
        RunConfiguration.load(tmp_path, name)


def test_a_target_is_a_name_or_has_one() -> None:
    class Compute:
        name = "cluster"

    config = RunConfiguration()
    config.target = Compute()
    assert config.target == "cluster"
    with pytest.raises(Invalid, match="target must be the name"):
        config.target = 7


def test_the_signatures_are_azures() -> None:
    def names(function: object) -> list[str]:
        return list(inspect.signature(function).parameters)  # type: ignore[arg-type]

    assert names(ScriptRunConfig)[:6] == [
        "source_directory",
        "script",
        "arguments",
        "run_config",
        "_telemetry_values",
        "compute_target",
    ]
    assert names(ScriptRunConfig)[6:] == [
        "environment",
        "distributed_job_config",
        "resume_from",
        "max_run_duration_seconds",
        "command",
        "docker_runtime_config",
    ]
    assert names(RunConfiguration.save) == ["self", "path", "name", "separate_environment_yaml"]
    assert names(RunConfiguration.load) == ["path", "name"]
    assert names(RunConfiguration.delete) == ["path", "name"]


# What an agent is told


def test_a_definition_says_what_is_to_be_done_and_what_will_not() -> None:
    environment = Environment("own")
    environment.environment_variables = {"A": 1, "B": "x", "NONE": None}
    environment.python.conda_dependencies = {"dependencies": ["numpy"]}
    config = ScriptRunConfig(
        ".",
        "sub/train.py",
        ["--n", 3],
        environment=environment,
        compute_target="cluster",
        docker_runtime_config=DockerConfiguration(use_docker=True),
        max_run_duration_seconds=60,
    ).effective()
    config.environment_variables = {"B": "y"}
    config.node_count = 2
    definition = definitions.definition_of(config, "snapshot")
    assert (definition.script, definition.arguments) == ("sub/train.py", ("--n", "3"))
    assert definition.environment_variables == {"A": "1", "B": "y"}
    assert definition.duration_s_max == 60
    words = " ".join(definition.warnings)
    for part in ("'cluster'", "Docker", "conda", "node_count 2"):
        assert part in words
    assert definitions.definition_of(RunConfiguration("a.py"), "s").warnings == ()


def test_a_command_is_a_line_or_words() -> None:
    line = ScriptRunConfig(".", command="python a.py && echo done").effective()
    words = ScriptRunConfig(".", command=["python", "a.py", 1]).effective()
    assert definitions.definition_of(line, "s").command == "python a.py && echo done"
    assert definitions.definition_of(words, "s").command == ("python", "a.py", "1")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"environment_variables": {"A=B": "x"}}, "cannot be named 'A=B'"),
        ({"environment_variables": {"A": "x\0y"}}, "cannot be named 'A'"),
        ({"agent.when_lost": "maybe"}, "'fail' or 'again'"),
        ({"agent.grace_s": 1_000}, "seconds from 0 to 30"),
        ({"script": None}, "there is nothing to run"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_made(
    tmp_path: Path, change: dict[str, object], message: str
) -> None:
    (tmp_path / "a.py").write_text("")
    config = RunConfiguration("a.py")
    for name, value in change.items():
        holder = config.agent if name.startswith("agent.") else config
        setattr(holder, name.removeprefix("agent."), value)

    def prepare() -> None:
        folder = definitions.checked_folder(str(tmp_path), config)
        definitions.definition_of(config, str(folder))

    with pytest.raises(Invalid, match=message):
        prepare()


def test_beside_a_run_configuration_other_settings_are_ignored_with_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    config = ScriptRunConfig(".", "a.py", run_config=RunConfiguration(), compute_target="cluster")
    assert config.effective().target == "local"
    assert "compute_target" in caplog.text
    with pytest.raises(Invalid, match="must be a list"):
        ScriptRunConfig(".", "a.py", "--lr 0.1")
