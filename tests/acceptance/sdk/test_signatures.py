"""Names and signatures are Azure ML's."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Final

import pytest

from runfold import Experiment, Run, Workspace

CLASSES: Final[dict[str, type]] = {"Experiment": Experiment, "Run": Run, "Workspace": Workspace}
MEMBERS: Final = [
    line
    for line in Path(__file__).with_name("azure_signatures.txt").read_text("utf-8").splitlines()
    if line and not line.startswith("#")
]
CALLS: Final = [line for line in MEMBERS if "(" in line]
PROPERTIES: Final = [line for line in MEMBERS if "(" not in line]


@pytest.mark.parametrize("call", CALLS)
def test_signatures_are_azures(call: str) -> None:
    """Ours may add keyword-only arguments."""
    place, parenthesis, rest = call.partition("(")
    owner, name = place.split(".")
    signature = inspect.signature(getattr(CLASSES[owner], name))
    bare = [
        parameter.replace(annotation=inspect.Parameter.empty)
        for parameter in signature.parameters.values()
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY
    ]

    assert str(inspect.Signature(bare)) == parenthesis + rest


@pytest.mark.parametrize("member", PROPERTIES)
def test_properties_are_azures(member: str) -> None:
    owner, name = member.split(".")

    assert isinstance(inspect.getattr_static(CLASSES[owner], name), property)


@pytest.mark.parametrize("name", ["display_name", "description"])
def test_these_properties_of_a_run_can_be_set(name: str) -> None:
    assert inspect.getattr_static(Run, name).fset is not None
