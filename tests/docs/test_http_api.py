"""docs/http-api.md says what there is."""

from __future__ import annotations

import os
import re

from runfold_services.api.problems import STATUS_OF_CODE
from runfold_services.api.routes import OPERATIONS
from tests.support.repository import ROOT

PAGE = ROOT / "docs" / "http-api.md"
MARKED = re.compile(r"(<!-- operations: .*? -->\n)(.*)(<!-- end of operations -->)", re.DOTALL)


def operations_table() -> str:
    rows = [f"| `{o.method}` | `{o.path}` | {o.summary} |" for o in OPERATIONS]
    return "\n".join(["| method | path | |", "|---|---|---|", *rows, ""])


def test_the_page_lists_every_operation() -> None:
    text = PAGE.read_text("utf-8")
    if os.environ.get("RUNFOLD_UPDATE_DOCS"):
        text = MARKED.sub(lambda match: match[1] + operations_table() + match[3], text)
        PAGE.write_text(text, "utf-8")
    found = MARKED.search(text)
    assert found is not None
    assert found[2] == operations_table(), "RUNFOLD_UPDATE_DOCS=1 ./dev test tests/docs writes the table anew"


def test_the_page_explains_every_code() -> None:
    text = PAGE.read_text("utf-8")
    unforeseen = {"rejected", "error", "ledger_damaged"}  # what no client can do anything about
    assert [code for code in STATUS_OF_CODE if f"`{code}`" not in text and code not in unforeseen] == []
