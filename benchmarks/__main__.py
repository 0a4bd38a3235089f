"""``python -m benchmarks NAME``: print tables, write JSON."""

from __future__ import annotations

import argparse
import re
import sys
import time
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from benchmarks import distributed, embedded, growth, machine, report, views
from benchmarks.measure import FULL, QUICK, Group, Sizes
from benchmarks.rivals import compare as rivals
from benchmarks.rivals import plot, tables

FOLDER: Final = Path(__file__).resolve().parent / "results"
PAGE: Final = Path(__file__).resolve().parents[1] / "docs" / "benchmarks.md"


def _studio(console: Console, sizes: Sizes, stack: Path | None) -> list[Group]:
    from benchmarks import studio, studio_charts  # need a browser, which the others do not

    return [*studio.run(console, sizes), *studio_charts.run(console, sizes)]


RUNS: Final = {
    "embedded": embedded.run,
    "distributed": distributed.run,
    "views": views.run,
    "growth": growth.run,
    "studio": _studio,
}
BEGIN: Final = "<!-- written by: ./dev bench {} --reference -->"
END: Final = "<!-- end of what is written -->"
PICTURE: Final = "runfold beside MLflow and FastTrackML, on logarithmic scales"


def main() -> int:
    """Run one benchmark."""
    parser = argparse.ArgumentParser(prog="./dev bench", description="What runfold costs on this machine.")
    parser.add_argument(
        "name", nargs="?", choices=[*RUNS, "rivals"], default="embedded", help="which (default: embedded)"
    )
    parser.add_argument(
        "--output", type=Path, help="where to write JSON (default: benchmarks/results/local/NAME.json)"
    )
    parser.add_argument(
        "--reference", action="store_true", help="write the committed result and docs/benchmarks.md"
    )
    parser.add_argument(
        "--quick", action="store_true", help="tiny sizes: shows that it works; the figures mean nothing"
    )
    parser.add_argument(
        "--stack",
        type=Path,
        help="distributed, views, rivals: folder of a stack to share (default: one of its own)",
    )
    options = parser.parse_args()
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 140)
    began = time.monotonic()
    facts = machine.facts()
    sizes = QUICK if options.quick else FULL
    path = options.output or FOLDER / ("" if options.reference else "local") / f"{options.name}.json"
    if options.name == "rivals":
        page = compare(console, facts, sizes, options.stack, path)
    else:
        page = measure(console, facts, sizes, options.name, options.stack, path)
    if options.reference:
        write_page(options.name, page)
    console.print(Text(f"\n{time.monotonic() - began:.0f} s; written to {path}", style="dim"))
    return 0


def measure(
    console: Console, facts: dict[str, Any], sizes: Sizes, name: str, stack: Path | None, path: Path
) -> str:
    """Run a benchmark of ours alone; the page's tables."""
    began = time.monotonic()
    groups = RUNS[name](console, sizes, stack)
    facts["took_s"] = round(time.monotonic() - began, 1)
    report.show(console, facts, groups)
    report.write(path, report.as_data(name, facts, groups))
    return report.markdown(facts, groups)


def compare(console: Console, facts: dict[str, Any], sizes: Sizes, stack: Path | None, path: Path) -> str:
    """Run the comparison with others; the page's tables, and the picture beside the data."""
    began = time.monotonic()
    compared = rivals.run(console, sizes, stack)
    facts |= {**compared.facts, "took_s": round(time.monotonic() - began, 1)}
    tables.show(console, compared.rows)
    report.write(path, tables.as_data(facts, compared.rows))
    path.with_suffix(".svg").write_text(plot.svg(compared.rows), "utf-8")
    return f"![{PICTURE}](../benchmarks/results/rivals.svg)\n\n{tables.markdown(facts, compared.rows)}"


def write_page(name: str, tables: str) -> None:
    """Replace the tables of one benchmark in docs/benchmarks.md."""
    begin, text = BEGIN.format(name), PAGE.read_text("utf-8")
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(END)}", re.DOTALL)
    PAGE.write_text(pattern.sub(lambda _: f"{begin}\n\n{tables}\n{END}", text), "utf-8")


if __name__ == "__main__":
    sys.exit(main())
