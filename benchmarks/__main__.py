"""``python -m benchmarks NAME``: print tables, write JSON."""

from __future__ import annotations

import argparse
import re
import sys
import time
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.text import Text

from benchmarks import distributed, embedded, growth, machine, report, views
from benchmarks.measure import FULL, QUICK, Group, Sizes

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


def main() -> int:
    """Run one benchmark."""
    parser = argparse.ArgumentParser(prog="./dev bench", description="What runfold costs on this machine.")
    parser.add_argument(
        "name", nargs="?", choices=list(RUNS), default="embedded", help="which (default: embedded)"
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
        "--stack", type=Path, help="distributed, views: folder of a stack to share (default: one of its own)"
    )
    options = parser.parse_args()
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 140)
    began = time.monotonic()
    facts = machine.facts()
    sizes = QUICK if options.quick else FULL
    groups = RUNS[options.name](console, sizes, options.stack)
    facts["took_s"] = round(time.monotonic() - began, 1)
    report.show(console, facts, groups)
    path = options.output or FOLDER / ("" if options.reference else "local") / f"{options.name}.json"
    report.write(path, report.as_data(options.name, facts, groups))
    if options.reference:
        write_page(options.name, report.markdown(facts, groups))
    console.print(Text(f"\n{facts['took_s']:.0f} s; written to {path}", style="dim"))
    return 0


def write_page(name: str, tables: str) -> None:
    """Replace the tables of one benchmark in docs/benchmarks.md."""
    begin, text = BEGIN.format(name), PAGE.read_text("utf-8")
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(END)}", re.DOTALL)
    PAGE.write_text(pattern.sub(lambda _: f"{begin}\n\n{tables}\n{END}", text), "utf-8")


if __name__ == "__main__":
    sys.exit(main())
