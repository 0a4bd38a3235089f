"""Names of compute targets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runfold._workspace import Workspace


class ComputeTarget:
    """The name of a compute target, as scripts pass it to a run configuration and to ``Run.list_by_compute``.

    There is nothing behind it: runs submitted to any target run where the agent is.
    """

    def __init__(self, workspace: Workspace, name: str) -> None:
        self._workspace = workspace
        self._name = name

    @property
    def workspace(self) -> Workspace:
        """The workspace it was named in."""
        return self._workspace

    @property
    def name(self) -> str:
        """The target's name."""
        return self._name

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, ComputeTarget) and other._name == self._name

    def __hash__(self) -> int:
        return hash(self._name)

    def __repr__(self) -> str:
        return f"ComputeTarget(workspace={self._workspace.name}, name={self._name})"
