"""Ignore files mean what git means; where git is at hand, it is asked."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from runfold._ignore import is_ignored, read_rule
from runfold._snapshots import chosen_files

RULES = [
    ("*.log", "a.log", True),
    ("*.log", "a/b.log", True),
    ("/*.log", "a/b.log", False),
    ("/*.log", "b.log", True),
    ("a/b", "a/b", True),
    ("a/b", "x/a/b", False),
    ("**/b", "x/a/b", True),
    ("a/**", "a/b/c", True),
    ("a/**", "a", False),
    ("a/**/z", "a/z", True),
    ("a/**/z", "a/b/c/z", True),
    ("a*c", "a/c", False),
    ("a?c", "abc", True),
    ("a?c", "a/c", False),
    ("[ab].txt", "a.txt", True),
    ("[!ab].txt", "a.txt", False),
    ("[!ab].txt", "c.txt", True),
    ("[a-c]x", "bx", True),
    ("[]x]y", "]y", True),
    (r"\#a", "#a", True),
    (r"\!a", "!a", True),
    ("a ", "a", True),
    (r"a\ ", "a ", True),
    ("a.b", "axb", False),
    ("(a|b)+", "(a|b)+", True),
    ("é*", "école", True),
]


@pytest.mark.parametrize(("line", "path", "ignored"), RULES)
def test_a_line_means_what_git_means(line: str, path: str, ignored: bool) -> None:
    rule = read_rule(line)
    assert (rule is not None and is_ignored(path, False, [("", rule)])) is ignored


def test_empty_lines_and_comments_say_nothing() -> None:
    for line in ("", "   ", "# comment", "/", "!", "\ufeff"):
        assert read_rule(line) is None


def test_later_lines_win_and_folders_are_meant_by_a_slash() -> None:
    rules = [("", rule) for line in ("*.txt", "!keep.txt", "data/") if (rule := read_rule(line)) is not None]
    assert is_ignored("a.txt", False, rules)
    assert not is_ignored("keep.txt", False, rules)
    assert is_ignored("x/data", True, rules)
    assert not is_ignored("x/data", False, rules), "a file of that name"


def test_a_tree_is_chosen_as_git_would(tmp_path: Path) -> None:
    names = [
        "a.log", "keep.log", "src/a.log", "src/deep/b.txt", "src/deep/c.tmp", "build/x", "src/build/y", "build.txt",
        "docs/api/index.html", "docs/index.html", "temp/keep/me", "temp/not", "data/raw/1", "data/kept/2",
    ]  # fmt: skip
    for name in names:
        place = tmp_path / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(name)
    root = "*.log\n!keep.log\n/build/\ndocs/**/*.html\n!docs/index.html\ntemp/*\n!temp/keep/\ndata/raw\n"
    (tmp_path / ".gitignore").write_text(root)
    (tmp_path / "src/.gitignore").write_text("!a.log\n*.tmp\nbuild\n")
    chosen = [path for path, _ in chosen_files(tmp_path)]
    assert sorted(chosen) == [
        ".gitignore", "build.txt", "data/kept/2", "docs/index.html", "keep.log", "src/.gitignore", "src/a.log",
        "src/deep/b.txt", "temp/keep/me",
    ]  # fmt: skip
    if shutil.which("git") is not None:
        subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
        listed = subprocess.run(
            ["git", "-c", "core.excludesFile=", "ls-files", "--others", "--exclude-standard"],
            cwd=tmp_path, check=True, capture_output=True, text=True,
        )  # fmt: skip
        assert sorted(listed.stdout.splitlines()) == sorted(chosen)
