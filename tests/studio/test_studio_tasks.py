"""What people do with the Studio, after ``./dev demo``, in a real browser against a real server."""

from __future__ import annotations

import csv
import io
import os
import re
import subprocess
import sys
from collections.abc import Callable, Generator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from runfold import Experiment, ScriptRunConfig, Workspace
from tests.support.agent_process import AgentProcess
from tests.support.browser import Visitor
from tests.support.http_server import Client
from tests.support.repository import ROOT
from tests.support.server_process import ServerProcess

CHILDREN, EPOCHS = 2, 3
SWEEP = "digits-sweep"
SERVER_S_MAX = 300.0


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    """The URL of a server over what ``./dev demo`` has recorded."""
    home = tmp_path_factory.mktemp("demo")
    sizes = ["--children", str(CHILDREN), "--epochs", str(EPOCHS), "--workers", "2"]
    subprocess.run(
        [sys.executable, str(ROOT / "deploy" / "demo" / "sweep.py"), "--home", str(home), *sizes],
        env={**os.environ, "COLUMNS": "120"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    with ServerProcess(home, life_s_max=SERVER_S_MAX) as server:
        yield server.ready()


@pytest.fixture
def look(visitors: Callable[..., Visitor], demo: str) -> Visitor:
    """Somebody who looks at the demo's runs."""
    return visitors(demo, accept_downloads=True)


def rows(page: Page) -> list[str]:
    """The names of the runs in the table, from the top."""
    return page.locator(".grid-row .run-link").all_inner_texts()


def expect_runs(page: Page, count: int) -> None:
    expect(page.locator(".grid-foot")).to_contain_text(re.compile(rf"^{count} runs?\b"))
    expect(page.locator(".grid-row .run-link")).to_have_count(count)


def search(page: Page, text: str) -> None:
    page.locator(".grid").or_(page.locator("main")).first.focus()
    page.keyboard.press("/")
    page.keyboard.press("Control+a")
    page.keyboard.type(text)
    page.keyboard.press("Enter")


def test_experiments_say_how_their_runs_stand(look: Visitor) -> None:
    page = look.visit("")
    expect(page).to_have_url(re.compile(r"/studio/w/default/experiments$"))
    row = page.get_by_role("row", name=re.compile(SWEEP))
    expect(row).to_contain_text(str(CHILDREN + 3))  # the parent, one that diverges, one that is canceled
    expect(row.get_by_title(f"Completed: {CHILDREN + 1}")).to_be_visible()
    expect(row.get_by_title("Failed: 1")).to_be_visible()
    expect(row.get_by_title("Canceled: 1")).to_be_visible()
    row.get_by_role("link", name=SWEEP).click()
    expect(page).to_have_url(re.compile(r"/runs\?experiment=digits-sweep$"))
    expect_runs(page, 1)
    assert rows(page) == ["digits sweep"]


def test_runs_are_found_by_words_and_by_the_filter_language(look: Visitor, demo: str) -> None:
    with Client(demo) as client:
        found = client.get("/api/v1/workspaces/default/runs").json["rows"]
        (sweep,) = [run["run_id"] for run in found if run["experiment"] == SWEEP]
        described = {"description": "Compared before the summer party"}
        assert client.request("PATCH", f"/api/v1/workspaces/default/runs/{sweep}", described).status == 200
        by = found[0]["created_by"]
    page = look.visit("w/default/runs?children=1")
    page.locator(".grid-row").first.wait_for()
    for text, count in (
        ("diverges", 1),  # a tag
        ("summer party", 1),  # a description
        (f"{SWEEP} mlp", 3 + CHILDREN // 2),  # an experiment, and a tag
        ("nobody-of-this-name", 0),
    ):
        search(page, text)
        if count == 0:
            expect(page.get_by_role("heading", name="No run is like that")).to_be_visible()
            page.get_by_role("button", name="Show all runs").click()
        elif text.endswith("mlp"):
            expect(page.locator(".grid-row .run-link").first).to_be_visible()
            assert 1 <= len(rows(page)) < CHILDREN + 3
        else:
            expect_runs(page, count)
    search(page, by)  # who submitted them
    expect_runs(page, CHILDREN + 3)
    search(page, 'status = "Failed" or (params.lr > 100 and has(tags.role))')
    expect_runs(page, 1)
    search(page, f"{SWEEP} not metrics.val_accuracy > 0")
    expect_runs(page, 1)
    look.page.reload()  # the address says it all
    expect_runs(page, 1)
    search(page, "metrics.val_accuracy >")
    expect(page.locator("#search-error")).to_contain_text("expected a number")
    look.complaints[:] = [text for text in look.complaints if "400 (Bad Request)" not in text]


def test_a_failed_run_shows_its_error_and_a_refused_change_its_trace(look: Visitor) -> None:
    page = look.visit("w/default/runs?children=1&status=Failed")
    page.locator(".grid-row .run-link").click()
    expect(page.locator(".status-pill")).to_have_text("Failed")
    error = page.get_by_role("region", name="Error")
    expect(error).to_contain_text("ValueError")
    expect(error).to_contain_text("Traceback (most recent call last)")
    tree = page.get_by_role("region", name="Runs above and below")
    tree.get_by_role("link", name="digits sweep").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("digits sweep")
    expect(tree).to_contain_text(f"{CHILDREN + 2} runs of {CHILDREN + 2} have ended")
    properties = page.get_by_role("region", name="Properties")
    expect(properties).to_contain_text("Never changed once written")
    expect(properties.get_by_role("textbox")).to_have_count(0)


def test_active_runs_run_and_a_page_cancels_them(look: Visitor, demo: str) -> None:
    """The script holds its run, hears of it, and ends."""
    script = (
        "import sys, time\n"
        "from runfold import Experiment, Workspace\n"
        f"with Experiment(Workspace(url={demo!r}), 'held').start_logging(display_name='a long one') as run:\n"
        "    print(run.id, flush=True)\n"
        "    while not run.cancel_requested:\n"
        "        time.sleep(0.05)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        run_id = process.stdout.readline().strip()
        page = look.visit("w/default/runs?experiment=held&status=Running")
        duration = page.locator(".grid-row .is-running")
        before = duration.inner_text()
        expect(duration).not_to_have_text(before)
        page.get_by_role("link", name="a long one").click()
        expect(page).to_have_url(re.compile(f"/runs/{run_id}$"))
        page.get_by_role("button", name="Cancel").click()
        dialog = page.get_by_role("dialog", name="Cancel a long one?")
        dialog.get_by_role("button", name="Keep as it is").click()
        expect(page.locator(".status-pill")).to_have_text("Running")
        page.get_by_role("button", name="Cancel").click()
        dialog.get_by_role("button", name="Cancel the run").click()
        expect(page.locator(".status-pill")).to_have_text("Canceled")
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def test_names_descriptions_and_tags_are_changed_on_the_page(look: Visitor, demo: str) -> None:
    run = Experiment(Workspace(url=demo), "edited").start_logging(run_id="edited-run", tags={"old": "x"})
    run.complete()
    page = look.visit("w/default/runs/edited-run")
    page.get_by_role("button", name="Change the name").click()
    page.get_by_role("textbox", name="Name of the run").fill("better name")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("better name")
    page.get_by_role("button", name="Add a description").click()
    page.get_by_role("textbox", name="Description").fill("two\nlines")
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".description")).to_contain_text("two")
    page.get_by_role("textbox", name="New tag", exact=True).fill("quality")
    page.get_by_role("textbox", name="Value of the new tag").fill("fine")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.locator(".tag-lines")).to_contain_text("quality")
    page.get_by_role("button", name="Remove old").click()
    expect(page.locator(".tag-lines")).not_to_contain_text("old")
    view = run.summary()
    assert (view.display_name, view.description, view.tags) == (
        "better name",
        "two\nlines",
        {"quality": "fine"},
    )


def test_many_runs_are_compared_tagged_archived_and_exported(look: Visitor, demo: str) -> None:
    workspace = Workspace(url=demo)
    for number in range(3):
        with Experiment(workspace, "many").start_logging(run_id=f"many-{number}") as run:
            run.log_params({"n": number})
            run.log("score", number / 4)
    page = look.visit("w/default/runs?experiment=many")
    expect_runs(page, 3)
    page.get_by_role("checkbox", name="Select the runs that are loaded").check()
    bar = page.get_by_role("toolbar", name="Selected runs")
    expect(bar).to_contain_text("3 runs selected")
    bar.get_by_role("button", name="Tag").click()
    page.get_by_label("Tag", exact=True).fill("batch")
    page.get_by_label("Value (may be empty)").fill("7")
    page.get_by_role("button", name="Set the tag").click()
    expect(page.locator(".toast")).to_contain_text("3 runs tagged")
    assert {view.tags["batch"] for view in workspace.query(experiment="many")} == {"7"}

    with page.expect_download() as download:
        page.get_by_role("button", name="Export CSV").click()
    lines = list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text("utf-8"))))
    assert [(line["run_id"], line["params.n"], line["metrics.score"]) for line in lines] == [
        ("many-2", "2", "0.5"),
        ("many-1", "1", "0.25"),
        ("many-0", "0", "0"),
    ]

    boxes = [page.locator(f"[data-run=many-{number}] input") for number in range(3)]
    boxes[0].click()
    expect(boxes[0]).to_be_checked()
    boxes[2].click(modifiers=["Shift"])
    boxes[0].click(modifiers=["Shift"])  # again: a range stays selected
    for box in boxes:
        expect(box).to_be_checked()
    boxes[1].click()
    expect(boxes[1]).not_to_be_checked()
    expect(page).to_have_url(re.compile(r"sel=many-0&sel=many-2$"))
    bar.get_by_role("link", name="Compare").click()
    expect(page).to_have_url(re.compile(r"/compare\?run=many-0&run=many-2"))
    page.go_back()
    bar.get_by_role("button", name="Archive").click()
    expect_runs(page, 1)
    page.get_by_role("button", name="Show", exact=True).click()
    page.get_by_role("button", name="Archived runs").click()
    expect_runs(page, 3)


def test_the_table_is_grouped_sorted_and_saved_as_a_view(look: Visitor) -> None:
    page = look.visit(f"w/default/runs?experiment={SWEEP}&children=1")
    page.get_by_role("button", name="Group").click()
    page.locator(".menu-panel").get_by_role("button", name="epochs").click()
    group = page.get_by_role("row", name=re.compile(rf"epochs {EPOCHS}\b"))
    expect(group).to_be_visible()
    group.click()
    expect(page.locator(".grid-row .run-link").first).to_be_visible()
    page.get_by_role("button", name="By epochs").click()
    page.get_by_role("button", name="No groups").click()

    page.get_by_role("button", name="Columns").click()
    page.get_by_role("textbox", name="Find a column to add").fill("run_id")
    page.locator(".columns-panel").get_by_role("button", name="Run id").click()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="val_loss", exact=True).click()
    expect(page.get_by_role("columnheader", name="val_loss")).to_have_attribute("aria-sort", "descending")
    page.get_by_role("button", name="val_loss", exact=True).click()
    expect(page.get_by_role("columnheader", name="val_loss")).to_have_attribute("aria-sort", "ascending")
    page.get_by_role("button", name="Views").click()
    page.get_by_role("textbox", name="Name of the view").fill("best first")
    page.get_by_role("button", name="Save as a view").click()
    address = page.url
    assert "cols=" in address
    assert "sort=metrics.val_loss" in address

    page.goto(f"/studio/w/default/runs?experiment={SWEEP}")
    expect(page.get_by_role("columnheader", name="Run id")).to_be_visible()  # columns are remembered
    page.get_by_role("button", name="Views").click()
    page.get_by_role("button", name="best first", exact=True).click()
    expect(page.get_by_role("columnheader", name="val_loss")).to_have_attribute("aria-sort", "ascending")
    assert sorted(page.url.split("?")[1].split("&")) == sorted(address.split("?")[1].split("&"))


WAITS = """
import time
from pathlib import Path
from runfold import Run

run = Run.get_context()
Path("began").write_text(run.id)
print("it waits", flush=True)
while True:
    time.sleep(0.1)
"""


def test_cancel_on_the_page_stops_a_submitted_script(look: Visitor, demo: str, tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "wait.py").write_text(WAITS, "utf-8")
    with AgentProcess("--url", demo):
        config = ScriptRunConfig(source_directory=str(tmp_path / "project"), script="wait.py")
        run = Experiment(Workspace(url=demo), "submitted").submit(config)
        page = look.visit(f"w/default/runs/{run.id}")
        expect(page.locator(".status-pill")).to_have_text("Running")
        page.get_by_role("button", name="Cancel").click()
        page.get_by_role("button", name="Cancel the run").click()
        expect(page.locator(".status-pill")).to_have_text("Canceled")
        assert scripts_running("wait.py") == []


def scripts_running(name: str) -> list[str]:
    """Command lines of processes that run the script."""
    shown = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    return [line for line in shown.splitlines() if line.endswith(name) and str(sys.executable) in line]
