"""Hatch's hook: a wheel has the Studio in it, or is not made."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class StudioHook(BuildHookInterface[Any]):
    """Builds the Studio before a wheel is packed. An editable install is served from where ./dev studio builds."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called before the wheel is packed; ``version`` is ``editable`` or ``standard``.

        Raises:
            BuildFailed: the Studio could not be built.
        """
        if version != "editable":
            _builder(Path(self.root)).build()


def _builder(root: Path) -> ModuleType:
    """``studio/build.py``, which is a program and part of no package."""
    spec = importlib.util.spec_from_file_location("runfold_studio_build", root / "studio" / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
