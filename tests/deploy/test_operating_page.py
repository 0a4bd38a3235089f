"""docs/operating.md says what the code does: settings and their defaults, alarms, metrics, commands."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import pytest
from msgspec import Struct

from runfold_services.kafka_settings import kafka_settings_from_environment
from runfold_services.metrics import DECLARED
from runfold_services.settings import settings_from_environment
from tests.deploy.commands import refusal
from tests.deploy.deployments import DEPLOY, SETTING, settings_in_code
from tests.support.markdown import blocks
from tests.support.repository import PACKAGES, ROOT

pytestmark = pytest.mark.source_tree

PAGE = ROOT / "docs" / "operating.md"
TEXT = PAGE.read_text("utf-8")
ROW = re.compile(r"^\| `(RUNFOLD_[A-Z_]+)` \| (?:`([^`]*)` |[^|`]*)\|", re.MULTILINE)
SETTINGS: dict[str, str | None] = {match[1]: match[2] for match in ROW.finditer(TEXT)}


# ── settings ──────────────────────────────────────────────────────────────────────────────────────────────


def test_the_table_has_every_setting_that_the_code_reads_and_no_other() -> None:
    assert set(SETTINGS) == settings_in_code()


def test_no_page_about_servers_names_a_setting_that_there_is_not() -> None:
    pages = [PAGE, DEPLOY / "README.md"]
    named = {name for page in pages for name in SETTING.findall(page.read_text("utf-8"))}

    assert named - settings_in_code() == set()


def changes_something(name: str, value: str) -> bool:
    """Does a process with this setting differ from one without it?"""
    kafka = {"RUNFOLD_KAFKA": "broker:9092"}
    return kafka_settings_from_environment(kafka | {name: value}) != kafka_settings_from_environment(
        kafka
    ) or settings_from_environment({name: value}) != settings_from_environment({})


STATED = {
    name: value
    for name, value in SETTINGS.items()
    if value is not None and name.startswith(("RUNFOLD_KAFKA_", "RUNFOLD_LOG"))
}


@pytest.mark.parametrize("name", STATED)
def test_a_default_of_the_table_is_the_default_of_the_code(name: str) -> None:
    assert not changes_something(name, STATED[name])


@pytest.mark.parametrize(
    ("name", "value"),
    [("RUNFOLD_KAFKA_REPLICAS", "3"), ("RUNFOLD_LOG", "debug"), ("RUNFOLD_KAFKA_ACTOR", "x")],
)
def test_another_default_would_be_noticed(name: str, value: str) -> None:
    assert len(STATED) > 10
    assert changes_something(name, value)


# ── alarms and metrics ────────────────────────────────────────────────────────────────────────────────────


def test_every_metric_that_the_page_looks_at_is_told_by_some_process() -> None:
    told = {declared.full_name for declared in DECLARED}
    named = set(re.findall(r"\brunfold_(?!service\b)[a-z_]+\b", TEXT))

    assert len(told) > 20
    assert named <= told


def test_every_alarm_is_in_the_table() -> None:
    """Alarms are constants in capitals of the roles' modules, or the codes of a mismatch."""
    section = TEXT.partition("## Alarms")[2].partition("Alarm on these")[0]
    table = set(re.findall(r"^\| `([a-z_]+)` \|", section, re.MULTILINE))
    services = PACKAGES["runfold_services"]
    source = "\n".join(
        (services / f"{name}.py").read_text("utf-8") for name in ("decider", "relay", "log_checks", "roles")
    )
    raised = set(re.findall(r'^(?:RESTORED|REPLACED|OVERTAKEN|STUCK)\b.*= "([a-z_]+)"', source, re.MULTILINE))
    raised |= set(re.findall(r'code="([a-z_]+)"', source))
    raised |= set(re.findall(r'"(view_[a-z_]+)"', source))

    assert len(raised) >= 6
    assert table == raised


# ── commands ──────────────────────────────────────────────────────────────────────────────────────────────


class Line(Struct, frozen=True):
    """A command line of runfold that a page shows."""

    page: str
    words: tuple[str, ...]


def command_lines() -> Iterator[Line]:
    readme = DEPLOY / "README.md"
    for command in re.findall(r"`runfold ([a-z][^`]*)`", TEXT):
        if command != "stack":  # the group as a whole
            yield Line(PAGE.name, tuple(shlex.split(command)))
    for block in blocks(readme):
        for line in block.text.splitlines():
            if found := re.search(r"compose run --rm (?:-e \S+ )?[a-z]+ (.*)", line):
                yield Line(readme.name, tuple(shlex.split(found[1])))


LINES = list(dict.fromkeys(command_lines()))


@pytest.mark.parametrize("line", LINES, ids=[f"{line.page}-{' '.join(line.words)}" for line in LINES])
def test_a_command_of_the_page_is_one_that_the_program_takes(line: Line) -> None:
    words = ["api" if word == "ROLE" else word for word in line.words]

    assert refusal(words) is None


def test_the_pages_show_commands() -> None:
    assert {line.page for line in LINES} == {PAGE.name, "README.md"}
