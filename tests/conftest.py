"""What holds for every test. Helpers live in tests/support; nothing is imported from here."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

# A busy machine is no failure, so examples have no deadline. Under CI Hypothesis loads its own profile, which has none
# either and draws the same examples every time.
settings.register_profile("runfold", deadline=None)
if "CI" not in os.environ:
    settings.load_profile("runfold")

# A suite started in the background by a shell inherits an ignored SIGINT, and so would every process it starts; what
# Ctrl-C does is tested all the same.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A runfold home of the test's own, and no server: no test reads or writes what the user recorded."""
    home = tmp_path / "runfold-home"
    monkeypatch.setenv("RUNFOLD_HOME", str(home))
    monkeypatch.delenv("RUNFOLD_URL", raising=False)
    monkeypatch.delenv("RUNFOLD_TOKEN", raising=False)
    return home
