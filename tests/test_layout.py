"""The shape of the repository: what stands where, what may import what, what the wheel holds."""

from __future__ import annotations

import ast
import importlib
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.repository import (
    ON_WHEEL,
    PACKAGES,
    ROOT,
    SOURCE_ROOTS,
    package_files,
    repository_files,
    script,
)

MODULE_LINES_MAX = 500
FUNCTION_LINES_MAX = 70
TOO_LONG_ALLOWED: set[str] = set()
"""``path`` or ``path::function`` of what may be longer, each with its reason in a comment. Best kept empty."""

HEAVY_LIBRARIES = {"litestar", "numpy", "plotext", "rich", "uvicorn"}
TOP_LEVEL_OF_A_WHEEL = {*PACKAGES, "runfold-0.1.0.dist-info"}

source_tree = pytest.mark.source_tree


def pyproject() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


# ── the Pythons that are promised ─────────────────────────────────────────────────────────────────────────


@source_tree
def test_every_tool_judges_as_for_the_oldest_python() -> None:
    """What only newer ones have would otherwise be found by whoever still has the oldest."""
    project, tools = pyproject()["project"], pyproject()["tool"]
    named = [
        re.fullmatch(r"Programming Language :: Python :: 3\.(\d+)", one) for one in project["classifiers"]
    ]
    minors = [int(one[1]) for one in named if one]
    oldest = f"3.{minors[0]}"

    assert minors == list(range(minors[0], minors[-1] + 1))
    assert project["requires-python"] == f">={oldest}"
    assert tools["mypy"]["python_version"] == tools["basedpyright"]["pythonVersion"] == oldest
    assert tools["ruff"]["target-version"] == f"py{oldest.replace('.', '')}"
    dev = (ROOT / "dev").read_text("utf-8")
    assert f"sys.version_info < (3, {minors[0]})" in dev
    assert f"--python-version {oldest} " in dev
    assert all(f" python3.{minor} " in dev for minor in minors)


# ── source roots and packages ─────────────────────────────────────────────────────────────────────────────


@source_tree
@pytest.mark.parametrize("root", SOURCE_ROOTS)
def test_source_root_is_a_folder_and_no_package(root: str) -> None:
    """An ``__init__.py`` there would give each module two names and clash with packages called ``events``."""
    assert (ROOT / root).is_dir()
    assert not (ROOT / root / "__init__.py").exists()


@source_tree
@pytest.mark.parametrize("package", PACKAGES)
def test_package_is_marked_as_typed(package: str) -> None:
    assert (PACKAGES[package] / "__init__.py").is_file()
    assert (PACKAGES[package] / "py.typed").is_file()


@pytest.mark.parametrize("package", PACKAGES)
def test_package_comes_from_the_place_under_test(package: str) -> None:
    """A run on the wheel that imports the sources would prove nothing about the wheel."""
    imported = Path(importlib.import_module(package).__file__ or "").parent.resolve()

    expected = Path(sysconfig.get_path("purelib")) / package if ON_WHEEL else PACKAGES[package]
    assert imported == expected.resolve()


def test_importing_the_sdk_stays_light() -> None:
    """A training script pays for `import runfold`; what is heavy is imported when it is used."""
    program = "import sys, runfold; print(*{name.partition('.')[0] for name in sys.modules})"
    path = [] if ON_WHEEL else [str(ROOT / root) for root in SOURCE_ROOTS]
    loaded = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {path!r}; {program}"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()

    assert not HEAVY_LIBRARIES.intersection(loaded)


# ── sizes ─────────────────────────────────────────────────────────────────────────────────────────────────


@source_tree
def test_modules_and_functions_stay_short() -> None:
    found = {path.relative_to(ROOT).as_posix(): path for path in package_files() if path.suffix == ".py"}
    too_long = {name: lines for path in found.values() for name, lines in too_long_in(path)}

    assert {name: lines for name, lines in too_long.items() if name not in TOO_LONG_ALLOWED} == {}
    assert set(too_long) >= TOO_LONG_ALLOWED, "an exception that is no longer needed"


def too_long_in(path: Path) -> list[tuple[str, int]]:
    name, text = path.relative_to(ROOT).as_posix(), path.read_text("utf-8")
    lines = len(text.splitlines())
    found = [(name, lines)] if lines > MODULE_LINES_MAX else []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None:
            length = node.end_lineno - node.lineno + 1
            if length > FUNCTION_LINES_MAX:
                found.append((f"{name}::{node.name}", length))
    return found


# ── nothing of one machine ────────────────────────────────────────────────────────────────────────────────


def foreign_names() -> re.Pattern[str]:
    """Hosts of package registries and places on one machine, put together so that this file names none."""
    hosts = [
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("maven", "org"),
        ("maven", "apache", "org"),
        ("docker", "io"),
        ("anaconda", "org"),
        ("golang", "org"),
    ]
    places = {str(ROOT), *("/" + "/".join(parts) for parts in [("root", ""), ("home", ""), ("Users", "")])}
    patterns = [re.escape(".".join(host)) + r"\b" for host in hosts]
    patterns += [r"(?<![\w.~$}])" + re.escape(place) + r"(?=\W|\w)" for place in sorted(places)]
    return re.compile("|".join(patterns))


@source_tree
def test_no_file_names_a_registry_host_or_a_place_on_one_machine() -> None:
    pattern = foreign_names()
    found: list[str] = []
    for path in repository_files():
        try:
            lines = path.read_text("utf-8").splitlines()
        except UnicodeDecodeError:
            continue  # not text
        found += [
            f"{path.relative_to(ROOT)}:{n}: {line}" for n, line in enumerate(lines, 1) if pattern.search(line)
        ]

    assert found == []


@source_tree
@pytest.mark.parametrize(
    "line",
    [
        "--index-url https://" + "pypi" + ".org/simple",
        "see /" + "home/somebody/project",
        f"path = '{ROOT}'",
    ],
)
def test_a_host_or_a_place_would_be_noticed(line: str) -> None:
    assert foreign_names().search(line)


# ── the lock file ─────────────────────────────────────────────────────────────────────────────────────────


def locked_versions() -> dict[str, set[str]]:
    lines = (ROOT / "requirements.lock").read_text("utf-8").splitlines()
    versions: dict[str, set[str]] = {}
    for line in lines:
        if match := re.match(r"([A-Za-z0-9._-]+)==([^ ;\\]+)", line):
            versions.setdefault(canonicalize_name(match[1]), set()).add(match[2])
    return versions


@source_tree
def test_lock_file_satisfies_every_declared_dependency() -> None:
    declared = pyproject()
    groups = declared["dependency-groups"]
    wanted = [
        Requirement(entry)
        for entries in (
            declared["project"]["dependencies"],
            *groups.values(),
            declared["build-system"]["requires"],
        )
        for entry in entries
        if isinstance(entry, str)
    ]
    locked = locked_versions()

    unmet = [
        str(want)
        for want in wanted
        if not (found := locked.get(canonicalize_name(want.name)))
        or not all(want.specifier.contains(version) for version in found)
    ]
    assert unmet == [], "run ./dev lock"


@source_tree
@pytest.mark.parametrize("name", ["requirements.lock", "requirements-uv.lock"])
def test_lock_file_has_a_hash_for_every_version(name: str) -> None:
    entries = re.split(r"\n(?=[A-Za-z0-9])", "\n" + (ROOT / name).read_text("utf-8"))
    pinned = [entry for entry in entries if "==" in entry]

    assert pinned
    assert [entry for entry in pinned if "--hash=sha256:" not in entry] == []


# ── imports go one way ────────────────────────────────────────────────────────────────────────────────────


def lint_imports(root: Path, cache: Path) -> subprocess.CompletedProcess[str]:
    command = [
        str(script("lint-imports")),
        "--cache-dir",
        str(cache),
        "--config",
        str(root / "pyproject.toml"),
    ]
    # PYTHONPATH goes before what is installed, so that the packages under `root` are the ones examined.
    path = ":".join(str(root / source_root) for source_root in SOURCE_ROOTS)
    return subprocess.run(
        command,
        cwd=root,
        env={"PYTHONPATH": path, "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=False,
    )


@source_tree
def test_imports_go_one_way(tmp_path: Path) -> None:
    result = lint_imports(ROOT, tmp_path / "cache")

    assert result.returncode == 0, result.stdout + result.stderr


@source_tree
def test_an_import_the_wrong_way_would_be_noticed(tmp_path: Path) -> None:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for root in SOURCE_ROOTS:
        shutil.copytree(ROOT / root, tmp_path / root, ignore=shutil.ignore_patterns("__pycache__"))
    contract = tmp_path / "events" / "runfold_events" / "contract" / "__init__.py"
    contract.write_text(contract.read_text("utf-8") + "\nimport time\nimport runfold_services\n", "utf-8")

    result = lint_imports(tmp_path, tmp_path / "cache")

    assert result.returncode != 0
    assert "runfold_events.contract -> time" in result.stdout
    assert "runfold_events.contract -> runfold_services" in result.stdout


# ── the wheel ─────────────────────────────────────────────────────────────────────────────────────────────


@source_tree
def test_wheel_holds_every_file_of_the_packages_and_nothing_else(tmp_path: Path) -> None:
    """Queries, schemas and type markers are read from the installed package, so they must be in it."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())

    expected = {path.relative_to(ROOT).as_posix().partition("/")[2] for path in package_files()}
    assert expected - held == set()
    assert "runfold_services/studio/static/index.html" in held, "the Studio is built into the wheel"
    assert {name.partition("/")[0] for name in held} == TOP_LEVEL_OF_A_WHEEL


# ── the list of commands ──────────────────────────────────────────────────────────────────────────────────


@source_tree
def test_help_teaches_every_recipe() -> None:
    text = (ROOT / "dev").read_text("utf-8")
    dispatched = set(
        re.findall(r"^    ([a-z-]+)(?: \| [^)]*)?\) ", text.partition("case $recipe in")[2], re.MULTILINE)
    )
    help_text = subprocess.run(
        ["sh", "./dev", "help"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    taught = set(re.findall(r"^  ([a-z-]+)  +\S", help_text, re.MULTILINE))

    assert {"setup", "test", "demo"} <= dispatched
    assert taught == dispatched


@source_tree
def test_an_unknown_recipe_fails_and_names_itself() -> None:
    result = subprocess.run(["sh", "./dev", "tset"], cwd=ROOT, capture_output=True, text=True, check=False)

    assert result.returncode != 0
    assert "tset" in result.stderr
