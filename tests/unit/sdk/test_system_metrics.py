"""What the machine does, as metrics: sampled beside the job, and never at its cost."""

# pyright: reportPrivateUsage=false
# What goes on in the thread is steered from here.

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from runfold import Experiment, _settings
from runfold import _system_metrics as system
from runfold._system_metrics import GpuProbe, HostProbe, SystemMetrics
from runfold.errors import Invalid
from runfold.testing import memory_workspace

psutil = pytest.importorskip("psutil")


@pytest.fixture
def experiment() -> Iterator[Experiment]:
    with memory_workspace() as workspace:
        yield Experiment(workspace, "e")


class Told:
    """A probe that says what it is told to."""

    def __init__(self, say: Callable[[int], Mapping[str, float]]) -> None:
        self.asked = 0
        self._say = say

    def sample(self) -> Mapping[str, float]:
        self.asked += 1
        return self._say(self.asked)


def until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_this_machine_is_looked_at_and_rates_need_two_looks() -> None:
    clock = iter([100.0, 102.0])
    probe = HostProbe(psutil, lambda: next(clock))
    first, second = probe.sample(), probe.sample()

    assert 0 < first["memory_percent"] < 100
    assert first["process_memory_bytes"] > 1_000_000
    assert {name for name in first if name.endswith("_per_s")} == set()
    assert set(first) <= set(second)
    assert all(value >= 0 for value in second.values())


def fake_psutil(disk: Any, network: Any) -> SimpleNamespace:
    """A machine whose counters are told."""
    fake = SimpleNamespace(**vars(psutil))
    fake.disk_io_counters = lambda: disk.pop(0) if disk else None
    fake.net_io_counters = lambda: network.pop(0) if network else None
    return fake


def test_rates_are_since_the_look_before_and_a_counter_that_was_set_back_has_none() -> None:
    clock = iter([100.0, 102.0, 104.0])
    disk = [SimpleNamespace(read_bytes=n, write_bytes=2 * n) for n in (0, 1_000, 500)]
    network = [SimpleNamespace(bytes_sent=n, bytes_recv=n) for n in (0, 10, 30)]
    probe = HostProbe(fake_psutil(disk, network), lambda: next(clock))
    probe.sample()

    second, third = probe.sample(), probe.sample()
    assert (second["disk_read_bytes_per_s"], second["disk_written_bytes_per_s"]) == (500.0, 1_000.0)
    assert "disk_read_bytes_per_s" not in third
    assert third["network_sent_bytes_per_s"] == 10.0


def test_a_machine_without_such_counters_has_the_rest() -> None:
    probe = HostProbe(fake_psutil([], []))
    probe.sample()

    assert {name for name in probe.sample() if name.endswith("_per_s")} == set()


class FakeNvml:
    """Two GPUs, of which the second cannot say how much power it uses."""

    NVML_TEMPERATURE_GPU = 0

    class NVMLError(Exception):
        pass

    def __init__(self, *, has_driver: bool = True) -> None:
        self._has_driver = has_driver

    def nvmlInit(self) -> None:  # noqa: N802 - NVIDIA's names
        if not self._has_driver:
            raise self.NVMLError("no driver")

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return 2

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        return index

    def nvmlDeviceGetUtilizationRates(self, device: int) -> Any:  # noqa: N802
        return SimpleNamespace(gpu=90 + device)

    def nvmlDeviceGetMemoryInfo(self, device: int) -> Any:  # noqa: N802
        return SimpleNamespace(used=25, total=100)

    def nvmlDeviceGetPowerUsage(self, device: int) -> int:  # noqa: N802
        if device == 1:
            raise self.NVMLError("not supported")
        return 250_500

    def nvmlDeviceGetTemperature(self, device: int, sensor: int) -> int:  # noqa: N802
        return 60 + device


def test_each_gpu_says_what_it_can() -> None:
    assert GpuProbe(FakeNvml()).sample() == {
        "gpu_0_percent": 90.0,
        "gpu_0_memory_used_bytes": 25.0,
        "gpu_0_memory_percent": 25.0,
        "gpu_0_watts": 250.5,
        "gpu_0_celsius": 60.0,
        "gpu_1_percent": 91.0,
        "gpu_1_memory_used_bytes": 25.0,
        "gpu_1_memory_percent": 25.0,
        "gpu_1_celsius": 61.0,
    }


@pytest.mark.parametrize(("has_driver", "kinds"), [(True, ["HostProbe", "GpuProbe"]), (False, ["HostProbe"])])
def test_gpus_are_looked_at_where_there_are_some(
    has_driver: bool, kinds: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml(has_driver=has_driver))

    assert [type(probe).__name__ for probe in system._probes()] == kinds


def test_a_run_gets_system_metrics_when_it_asks_and_none_when_it_does_not(experiment: Experiment) -> None:
    with experiment.start_logging(system_metrics=True) as asked, experiment.start_logging() as not_asked:
        until(lambda: "system/cpu_percent" in asked.get_metrics())
        assert asked.get_metrics()["system/process_memory_bytes"] > 1_000_000
        assert not_asked.get_metrics() == {}


@pytest.mark.parametrize(
    ("asked", "environment", "interval_s"),
    [
        (None, {}, None),
        (None, {"RUNFOLD_SYSTEM_METRICS": "1"}, 10.0),
        (False, {"RUNFOLD_SYSTEM_METRICS": "1"}, None),
        (True, {"RUNFOLD_SYSTEM_METRICS_S": "2.5"}, 2.5),
        (True, {"RUNFOLD_SYSTEM_METRICS_S": "0"}, 1.0),
    ],
)
def test_the_program_or_else_the_environment_says_whether_and_how_often(
    asked: bool | None, environment: dict[str, str], interval_s: float | None
) -> None:
    assert _settings.system_metrics_s(asked, environment) == interval_s


def test_nothing_is_logged_after_the_end_though_a_look_was_under_way(experiment: Experiment) -> None:
    looking, go_on = threading.Event(), threading.Event()

    def say(asked: int) -> Mapping[str, float]:
        looking.set()
        assert go_on.wait(60)
        return {"late": 1.0}

    run = experiment.start_logging()
    run._system = sampling = SystemMetrics(run, [Told(say)], 0.01)
    sampling.start()
    assert looking.wait(60)
    began = time.monotonic()
    run.complete()
    assert time.monotonic() - began < 30, "the end does not wait for the look"
    go_on.set()
    sampling._thread.join(60)

    assert not sampling._thread.is_alive()
    assert run.get_metrics() == {}
    assert run.rejections() == []


def test_what_fails_is_said_once_and_the_others_go_on(
    experiment: Experiment, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(asked: int) -> Mapping[str, float]:
        raise OSError("the sensor is gone")

    broken, sound = Told(fail), Told(lambda asked: {"looks": float(asked)})
    with caplog.at_level(logging.WARNING, "runfold"), experiment.start_logging() as run:
        run._system = SystemMetrics(run, [broken, sound], 0.01)
        run._system.start()
        until(lambda: sound.asked > 5)
    assert broken.asked == system.FAILURES_MAX
    assert [record.message for record in caplog.records if "no more system metrics" in record.message] == [
        "runfold: no more system metrics by Told: the sensor is gone"
    ]
    assert len(run.get_metrics("system/looks")["system/looks"]) >= 5


def test_a_failure_now_and_then_is_no_reason_to_stop(experiment: Experiment) -> None:
    def say(asked: int) -> Mapping[str, float]:
        if asked % 3:
            raise OSError("busy")
        return {"looks": float(asked)}

    probe = Told(say)
    with experiment.start_logging() as run:
        run._system = SystemMetrics(run, [probe], 0.01)
        run._system.start()
        until(lambda: probe.asked > 3 * system.FAILURES_MAX)


def test_without_the_library_a_program_hears_it_at_once_and_an_environment_changes_nothing(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "psutil", None)

    def find_nothing(name: str) -> None:
        """As if nothing were installed."""

    monkeypatch.setattr("importlib.util.find_spec", find_nothing)
    with pytest.raises(Invalid, match=r"runfold\[system\]"):
        experiment.start_logging(system_metrics=True)
    assert list(experiment.get_runs()) == [], "nothing was begun"

    monkeypatch.setenv("RUNFOLD_SYSTEM_METRICS", "1")
    with caplog.at_level(logging.WARNING, "runfold"), experiment.start_logging() as run:
        run.log("loss", 1.0)
    assert "runfold[system]" in caplog.text
    assert run.get_metrics() == {"loss": 1.0}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks here")
def test_a_forks_child_neither_samples_nor_waits(experiment: Experiment) -> None:
    run = experiment.start_logging()
    run._system = sampling = SystemMetrics(run, [Told(lambda asked: {})], 60.0)
    sampling.start()
    with sampling._logging:  # as if the thread held it at the moment of the fork
        child = os.fork()
        if child == 0:
            sampling.stop()
            os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    run.complete()


def test_importing_runfold_imports_none_of_it() -> None:
    import subprocess

    said = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, runfold; print('psutil' in sys.modules, 'runfold._system_metrics' in sys.modules)",
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert said.split() == ["False", "False"]
