"""Every example in the documentation runs, and shows what it says it shows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.markdown import Block, blocks, commands, matches, run_console, run_python
from tests.support.repository import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
LANGUAGES = {"python", "console", "sh", "text", "json", "toml", "yaml", "http", "sql", ""}


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_examples_of_the_page_run_in_order(page: Path, tmp_path: Path) -> None:
    """Python blocks are programs of their own; all console blocks of a page share one shell, one folder, one home."""
    in_order = [block for block in blocks(page) if block.language in {"python", "console"}]
    problems: list[str] = []
    while in_order:
        if in_order[0].language == "python":
            problems += _python_problems(in_order.pop(0), tmp_path)
        else:
            together: list[Block] = []
            while in_order and in_order[0].language == "console":
                together.append(in_order.pop(0))
            problems += _console_problems(together, tmp_path)
    assert problems == []


def _python_problems(block: Block, folder: Path) -> list[str]:
    done = run_python(block, folder)
    return [f"{name_of(block.page)}:{block.line}: {done.stderr}"] if done.returncode else []


def _console_problems(together: list[Block], folder: Path) -> list[str]:
    listed = [command for block in together for command in commands(block)]
    problems: list[str] = []
    for command, output, code in run_console(listed, folder):
        at = f"{name_of(together[0].page)}:{command.line}: $ {command.text}"
        expected = int(found[1]) if (found := re.search(r"# exits with (\d+)", command.text)) else 0
        if code != expected:
            problems.append(f"{at}\nexit code {code}, expected {expected}\n{output}")
        elif not matches(command.shown, output):
            problems.append(f"{at}\nshown:\n{chr(10).join(command.shown)}\nprinted:\n{output}")
    return problems


@pytest.mark.source_tree
@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_blocks_name_a_language_that_is_known(page: Path) -> None:
    assert {block.language for block in blocks(page)} <= LANGUAGES


@pytest.mark.source_tree
@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_inside_the_repository_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text("utf-8"))
    inside = [link for link in links if not re.match(r"[a-z]+:", link)]

    assert [link for link in inside if not (page.parent / link).exists()] == []


@pytest.mark.source_tree
@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_recipes_that_the_page_names_exist(page: Path) -> None:
    recipes = set(
        re.findall(r"^    ([a-z-]+)(?: \|[^)]*)?\) ", (ROOT / "dev").read_text("utf-8"), re.MULTILINE)
    )
    named = set(re.findall(r"\./dev ([a-z][a-z-]*)", page.read_text("utf-8")))

    assert named <= recipes


def test_output_is_compared_with_gaps() -> None:
    shown = ("STATUS  RUN", "✓ Completed  …  lr", "…")

    assert matches(shown, "STATUS       RUN\n✓ Completed  0193   lr\nmore\nand more\n")
    assert not matches(shown, "STATUS       RUN\n✗ Failed     0193   lr\n")
