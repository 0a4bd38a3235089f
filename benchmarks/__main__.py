"""``python -m benchmarks embedded``: print tables, write JSON."""

from __future__ import annotations

import argparse
import re
import sys
import time
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.text import Text

from benchmarks import embedded, machine, report
from benchmarks.measure import FULL, QUICK

FOLDER: Final = Path(__file__).resolve().parent / "results"
PAGE: Final = Path(__file__).resolve().parents[1] / "docs" / "benchmarks.md"
BEGIN: Final = "<!-- written by: ./dev bench embedded --reference -->"
END: Final = "<!-- end of what is written -->"


def main() -> int:
    """Run one benchmark."""
    parser = argparse.ArgumentParser(prog="./dev bench", description="What runfold costs on this machine.")
    parser.add_argument(
        "name", nargs="?", choices=["embedded"], default="embedded", help="which (default: embedded)"
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
    options = parser.parse_args()
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 140)
    began = time.monotonic()
    facts = machine.facts()
    groups = embedded.run(console, QUICK if options.quick else FULL)
    facts["took_s"] = round(time.monotonic() - began, 1)
    report.show(console, facts, groups)
    path = options.output or FOLDER / ("embedded.json" if options.reference else "local/embedded.json")
    report.write(path, report.as_data(facts, groups))
    if options.reference:
        write_page(report.markdown(facts, groups))
    console.print(Text(f"\n{facts['took_s']:.0f} s; written to {path}", style="dim"))
    return 0


def write_page(tables: str) -> None:
    """Replace the tables of docs/benchmarks.md."""
    text = PAGE.read_text("utf-8")
    pattern = re.compile(f"{re.escape(BEGIN)}.*{re.escape(END)}", re.DOTALL)
    PAGE.write_text(pattern.sub(lambda _: f"{BEGIN}\n\n{tables}\n{END}", text), "utf-8")


if __name__ == "__main__":
    sys.exit(main())
