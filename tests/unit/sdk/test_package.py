"""What `import runfold` gives, and what it costs."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import runfold
from runfold import errors, exceptions
from runfold.testing import memory_workspace
from runfold_events.contract import errors as contract_errors
from tests.support.repository import ON_WHEEL, ROOT, SOURCE_ROOTS

PUBLIC = {
    "Artifact",
    "Buckets",
    "VERSION",
    "ComputeTarget",
    "Conflict",
    "Curve",
    "Curves",
    "Environment",
    "Experiment",
    "Invalid",
    "LimitExceeded",
    "Metric",
    "NotFound",
    "PropertyImmutable",
    "Rejection",
    "Run",
    "RunConfiguration",
    "RunEnded",
    "RunFailed",
    "RunRejected",
    "RunfoldError",
    "ScriptRunConfig",
    "Unauthorized",
    "Unavailable",
    "Workspace",
}
HEAVY = {
    "_sqlite3",
    "asyncio",
    "http.server",
    "litestar",
    "logging.handlers",
    "multiprocessing",
    "numpy",
    "platformdirs",
    "rich",
    "runfold.cli",
    "runfold_services",
    "sqlite3",
    "structlog",
    "urllib3",
    "uvicorn",
    "yaml",
    "zstandard",
}


def test_the_public_names_are_these() -> None:
    assert set(runfold.__all__) == PUBLIC
    assert [name for name in runfold.__all__ if not hasattr(runfold, name)] == []
    visible = {name for name in vars(runfold) if not name.startswith("_")}
    modules = {name for name in visible if isinstance(getattr(runfold, name), type(sys))}
    assert visible - modules == PUBLIC


def test_every_public_thing_says_what_it_is() -> None:
    undocumented: list[str] = []
    for name in PUBLIC - {"VERSION"}:
        kind: Any = getattr(runfold, name)
        members: list[str | None] = [name for name in dir(kind) if not name.startswith("_")]
        for member in [None, *members]:
            thing = kind if member is None else getattr(kind, member)
            if (callable(thing) or isinstance(thing, property)) and not thing.__doc__:
                undocumented.append(f"{name}.{member}")
    assert undocumented == []


def test_errors_are_the_contracts() -> None:
    own = {name: kind for name, kind in vars(contract_errors).items() if isinstance(kind, type)}
    kinds = {name for name, kind in own.items() if issubclass(kind, contract_errors.RunfoldError)}

    assert set(errors.__all__) == kinds | {"NeedsAzure", "NoRunContext", "RunFailed", "SubmissionFailed"}
    assert all(getattr(errors, name) is own[name] for name in kinds)


def test_azures_names_stand_for_ours() -> None:
    assert exceptions.UserErrorException is errors.Invalid
    for name in exceptions.__all__:
        assert issubclass(getattr(exceptions, name), errors.RunfoldError)


def test_the_version_is_the_distributions() -> None:
    from importlib.metadata import version

    assert runfold.VERSION == runfold.__version__ == version("runfold")


def test_importing_brings_nothing_heavy() -> None:
    """A training script pays for `import runfold`, whether it records a run or not."""
    loaded = _python("import sys, runfold; print(*sys.modules)").split()

    assert HEAVY.intersection(loaded) == set()
    assert "runfold._embedded" not in loaded
    assert "runfold._http" not in loaded


def test_recording_over_http_opens_no_ledger_and_needs_no_numpy() -> None:
    loaded = _python(
        """
        import sys
        from runfold._http import HttpTransport
        HttpTransport("http://127.0.0.1:1")
        print(*sys.modules)
        """
    ).split()

    assert {"numpy", "sqlite3", "litestar", "structlog", "uvicorn"}.intersection(loaded) == set()


@pytest.mark.source_tree
def test_importing_is_quick() -> None:
    """Processor time, the best of several tries: a busy machine is no failure. Measured: about 50 ms."""
    program = "import time; start = time.process_time(); import runfold; print(time.process_time() - start)"
    assert min(float(_python(program)) for _ in range(5)) < 0.150


def _python(program: str) -> str:
    import textwrap

    path = [] if ON_WHEEL else [str(ROOT / root) for root in SOURCE_ROOTS]
    prologue = f"import sys; sys.path[:0] = {path!r}\n"
    done = subprocess.run(
        [sys.executable, "-c", prologue + textwrap.dedent(program)],
        check=True,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent,
    )
    return done.stdout


def test_a_workspace_in_memory_for_tests_of_programs() -> None:
    with memory_workspace("mine") as workspace:
        with runfold.Experiment(workspace, "e").start_logging() as run:
            run.log("loss", 0.5)
        (found,) = runfold.Experiment(workspace, "e").get_runs()
        assert (found.get_status(), found.get_metrics()) == ("Completed", {"loss": 0.5})
    with memory_workspace("mine") as workspace:
        assert workspace.experiments == {}
        with pytest.raises(TypeError, match="in memory"):
            pickle.dumps(workspace)
