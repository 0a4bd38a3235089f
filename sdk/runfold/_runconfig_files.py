"""Files of run configurations: where they are, and YAML in and out."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, cast

from runfold_events.contract.errors import Invalid

FOLDER: Final = ".azureml"
FOLDERS: Final = (FOLDER, "aml_config")
SUFFIX: Final = ".runconfig"
FILE_BYTES_MAX: Final = 4 * 1024 * 1024


def place_to_save(path: str | Path | None, name: str | None, own_name: str | None) -> Path:
    """The file that ``save`` writes.

    Raises:
        Invalid: neither a name nor a file was given, or the name leads elsewhere.
    """
    root = Path.cwd() if path is None else Path(path)
    if name is None and path is not None and not root.is_dir() and root.suffix:
        return root
    chosen = name or own_name
    if chosen is None:
        raise Invalid(
            "a run configuration needs a name to be saved under, such as name='sklearn.runconfig'",
            facts={"field": "name", "limit": "required"},
        )
    return root / FOLDER / _checked(chosen)


def find(path: Path, name: str | None) -> Path:
    """The file that a name means under a project's folder; without a name ``path`` is the file.

    Raises:
        Invalid: there is none.
    """
    if name is None:
        candidates = [path] if not path.is_dir() else []
    else:
        names = (_checked(name), f"{_checked(name)}{SUFFIX}")
        candidates = [path / folder / one for folder in (*FOLDERS, "") for one in names]
    found = next((one for one in candidates if one.is_file()), None)
    if found is None:
        wanted = str(path) if name is None else f"{name!r} in {path / FOLDER}"
        raise Invalid(
            f"there is no run configuration {wanted}; RunConfiguration.save() writes one, and `runfold folder attach` "
            "writes one for each target",
            facts={"field": "name", "limit": "a file", "size": (name or str(path))[:200]},
        )
    return found


def _checked(name: str) -> str:
    if Path(name).name != name or name in {"", ".", ".."}:
        raise Invalid(
            f"the name of a run configuration is a file's name without folders; got {name[:80]!r}",
            facts={"field": "name", "limit": "a file's name", "size": name[:80]},
        )
    return name


def read(path: Path) -> dict[str, Any]:
    """The mapping that a YAML file holds.

    Raises:
        Invalid: it cannot be read, is too large, or holds something else.
    """
    import yaml

    try:
        with path.open("rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
        if len(data) > FILE_BYTES_MAX:
            raise _unreadable(path, f"it has more than {FILE_BYTES_MAX} bytes")
        content = yaml.safe_load(data)
    except (OSError, yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise _unreadable(path, str(error)) from None
    if not isinstance(content, dict):
        raise _unreadable(path, "it holds no mapping")
    return cast("dict[str, Any]", content)


def write(path: Path, content: dict[str, Any]) -> None:
    """Write a mapping as YAML; the file is complete or as it was.

    Raises:
        Invalid: a value is nothing that YAML can hold.
    """
    import os

    import yaml

    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
        partial.write_text(text, "utf-8")
        partial.replace(path)
    except yaml.YAMLError as error:
        raise Invalid(
            f"the run configuration holds something that YAML cannot: {error}", facts={"field": "path"}
        ) from None
    finally:
        partial.unlink(missing_ok=True)


def _unreadable(path: Path, why: str) -> Invalid:
    return Invalid(
        f"the run configuration {path} cannot be read: {why}"[:1_000],
        facts={"field": "path", "limit": "YAML", "size": str(path)},
    )
