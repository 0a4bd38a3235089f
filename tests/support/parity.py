"""The parity table: what scripts and habits from Azure ML expect, and which tests show that it holds.

``./dev parity`` prints it with a mark per row from the tests that carry the row's id
(``@pytest.mark.parity("RN-01")``); ``./dev parity --run`` runs those tests first and marks what they said. The exit
code is 1 while a row of tier 1 or 2 is missing or fails.
"""

from __future__ import annotations

import argparse
import ast
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from tests.support.parity_rows import ROWS, Row
from tests.support.repository import ROOT

TESTS: Final = ROOT / "tests"
LATER: Final = frozenset({"WI-01", "WI-02", "WI-03"})  # the wire, for the unmodified SDK: a facade of its own
COMPLETE_TIERS: Final = frozenset({1, 2})


class Mark(NamedTuple):
    """What tests say of one row."""

    sign: str
    words: str

    @property
    def holds(self) -> bool:
        """Whether the row is shown to hold."""
        return self.sign == "✓"


MISSING: Final = Mark("✗", "missing: no test carries its id")


def carriers(folder: Path = TESTS) -> dict[str, set[str]]:
    """Per id, the tests that carry it, read from the sources: ``path::name``."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in sorted(folder.rglob("test_*.py")):
        text = path.read_text("utf-8")
        if "mark.parity(" in text:
            for name, row_id in _marked(ast.parse(text)):
                found[row_id].add(f"{path.relative_to(folder.parent).as_posix()}::{name}")
    return found


def _marked(tree: ast.Module) -> Iterable[tuple[str, str]]:
    """(function or class, id) of every parity mark; a module's ``pytestmark`` counts for the module."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            for below in node.body:
                if isinstance(below, ast.FunctionDef):
                    yield from (
                        (f"{node.name}::{below.name}", row_id) for row_id in _ids(below.decorator_list)
                    )
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield from ((node.name, row_id) for row_id in _ids(node.decorator_list))
        elif isinstance(node, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == "pytestmark" for target in node.targets
        ):
            yield from (("pytestmark", row_id) for row_id in _ids([node.value]))


def _ids(expressions: Iterable[ast.expr]) -> Iterable[str]:
    for expression in expressions:
        for call in ast.walk(expression):
            if isinstance(call, ast.Call) and ast.unparse(call.func).endswith("mark.parity"):
                yield from (str(ast.literal_eval(argument)) for argument in call.args)


def marks_of_sources(carried: Mapping[str, set[str]]) -> dict[str, Mark]:
    """A mark per row from what the sources say."""
    return {
        row.id: Mark("✓", f"{len(carried[row.id])} test{'s' * (len(carried[row.id]) > 1)}")
        if carried.get(row.id)
        else MISSING
        for row in ROWS
    }


def marks_of_outcomes(outcomes: Mapping[str, list[str]]) -> dict[str, Mark]:
    """A mark per row from what its tests said: ``{id: ["passed", "failed", …]}``."""
    return {row.id: _outcome(outcomes.get(row.id, [])) for row in ROWS}


def _outcome(said: list[str]) -> Mark:
    if not said:
        return MISSING
    bad = [one for one in said if one != "passed"]
    if bad:
        return Mark("✗", f"{len(bad)} of {len(said)} cases: {', '.join(sorted(set(bad)))}")
    return Mark("✓", f"{len(said)} case{'s' * (len(said) > 1)} passed")


def run_carriers(arguments: list[str]) -> dict[str, list[str]]:
    """Run every test that carries an id; returns per id what its cases said."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "outcomes"
        subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "tests.support.parity_outcomes", *arguments],
            cwd=ROOT,
            env={**os.environ, "RUNFOLD_PARITY_OUTCOMES": str(report)},
            stdout=sys.stderr,
            check=False,
        )
        outcomes: dict[str, list[str]] = defaultdict(list)
        for line in report.read_text("utf-8").splitlines() if report.exists() else []:
            row_id, _, outcome = line.partition(" ")
            outcomes[row_id].append(outcome)
    return outcomes


def lacking(marks: Mapping[str, Mark]) -> list[Row]:
    """Rows of the tiers that must be complete which are not shown to hold."""
    return [
        row for row in ROWS if row.tier in COMPLETE_TIERS and row.id not in LATER and not marks[row.id].holds
    ]


def table(marks: Mapping[str, Mark]) -> str:
    """The parity table, group by group, and a line that adds it up."""
    lines: list[str] = []
    group = ""
    for row in ROWS:
        if row.group != group:
            group = row.group
            lines += ["", group]
        mark = Mark("·", "later: a facade of its own") if row.id in LATER else marks[row.id]
        lines.append(f"  {mark.sign} {row.id}  tier {row.tier}  {row.capability}  [{mark.words}]")
    lines.append("")
    for tier in sorted({row.tier for row in ROWS}):
        rows = [row for row in ROWS if row.tier == tier and row.id not in LATER]
        lines.append(f"tier {tier}: {sum(marks[row.id].holds for row in rows)} of {len(rows)}")
    return "\n".join(lines).lstrip("\n")


def main(arguments: list[str] | None = None) -> int:
    """Print the table; 1 while a row of tier 1 or 2 lacks."""
    parser = argparse.ArgumentParser("./dev parity", description="Print the parity table.")
    parser.add_argument(
        "--run", action="store_true", help="run the tests first (minutes), mark what they said"
    )
    given, rest = parser.parse_known_args(arguments)
    if rest and not given.run:
        parser.error(f"unknown: {' '.join(rest)} (what follows --run goes to pytest)")
    marks = marks_of_outcomes(run_carriers(rest)) if given.run else marks_of_sources(carriers())
    print(table(marks))
    missing = lacking(marks)
    if missing:
        print(f"lacking: {' '.join(row.id for row in missing)}")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
