"""What the machine does while a run is under way: CPU, memory, disk, network and GPUs, as metrics below ``system/``.

Opt-in. One thread for each run that asked for it looks every ten seconds and logs as any thread of the program could.
It never harms the job: it is a daemon, nobody waits for it, what goes wrong in it is said once and ends there, and
after the run's end it logs nothing.
"""

# pyright: reportPrivateUsage=false
# Handles are friends of one another: what they share is no part of the public surface.

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

from runfold_events.contract.errors import Invalid

if TYPE_CHECKING:
    from runfold._run import Run

PREFIX: Final = "system/"
PAUSE_S_MIN: Final = 0.5  # also where looking takes longer than the interval
FIRST_AFTER_S: Final = 1.0  # so that a short run has something too
FAILURES_MAX: Final = 3  # in a row; what fails so often is not asked again
MISSING: Final = "system metrics need psutil: pip install 'runfold[system]'"
_log = logging.getLogger("runfold")


class Probe(Protocol):
    """Something that can be looked at. May be slow; is asked by one thread."""

    def sample(self) -> Mapping[str, float]:
        """Values by metric, without the prefix; their units are in the names. What is not known is left out."""
        ...


class HostProbe:
    """This machine and this process, by psutil. Rates are since the sample before, so the first one has none."""

    def __init__(self, psutil: Any, clock: Callable[[], float] = time.monotonic) -> None:
        self._psutil = psutil
        self._clock = clock
        self._process = psutil.Process()
        self._last: tuple[float, dict[str, float]] | None = None
        psutil.cpu_percent(None)  # measures since the call before
        self._process.cpu_percent(None)

    def sample(self) -> dict[str, float]:
        psutil = self._psutil
        memory = psutil.virtual_memory()
        with self._process.oneshot():
            found = {
                "cpu_percent": psutil.cpu_percent(None),
                "memory_percent": memory.percent,
                "memory_used_bytes": float(memory.total - memory.available),
                "process_cpu_percent": self._process.cpu_percent(None),
                "process_memory_bytes": float(self._process.memory_info().rss),
            }
        found["disk_used_percent"] = psutil.disk_usage(os.getcwd()).percent  # noqa: PTH109  # a string is what it takes
        return found | self._rates()

    def _rates(self) -> dict[str, float]:
        now, counts = self._clock(), self._counts()
        before, self._last = self._last, (now, counts)
        if before is None or now <= before[0]:
            return {}
        past_s, old = now - before[0], before[1]
        # A counter that was set back (a network card that came anew) says nothing this time.
        return {
            f"{name}_per_s": (count - old[name]) / past_s
            for name, count in counts.items()
            if name in old and count >= old[name]
        }

    def _counts(self) -> dict[str, float]:
        disk, network = self._psutil.disk_io_counters(), self._psutil.net_io_counters()
        counts: dict[str, float] = {}
        if disk is not None:  # some containers show none
            counts |= {"disk_read_bytes": disk.read_bytes, "disk_written_bytes": disk.write_bytes}
        if network is not None:
            counts |= {"network_sent_bytes": network.bytes_sent, "network_received_bytes": network.bytes_recv}
        return counts


class GpuProbe:
    """NVIDIA's GPUs by number, by nvidia-ml-py. ``nvml`` is its module, which a machine without a driver refuses."""

    def __init__(self, nvml: Any) -> None:
        self._nvml = nvml
        nvml.nvmlInit()
        self._devices = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]

    def sample(self) -> dict[str, float]:
        found: dict[str, float] = {}
        for index, device in enumerate(self._devices):
            found |= {f"gpu_{index}_{name}": value for name, value in self._look(device).items()}
        return found

    def _look(self, device: Any) -> dict[str, float]:
        """What the device can say; cheaper ones cannot say all."""
        nvml = self._nvml
        questions: list[Callable[[], dict[str, float]]] = [
            lambda: {"percent": float(nvml.nvmlDeviceGetUtilizationRates(device).gpu)},
            lambda: _gpu_memory(nvml.nvmlDeviceGetMemoryInfo(device)),
            lambda: {"watts": nvml.nvmlDeviceGetPowerUsage(device) / 1_000},
            lambda: {"celsius": float(nvml.nvmlDeviceGetTemperature(device, nvml.NVML_TEMPERATURE_GPU))},
        ]
        found: dict[str, float] = {}
        for ask in questions:
            try:
                found |= ask()
            except nvml.NVMLError:
                continue
        return found


def _gpu_memory(memory: Any) -> dict[str, float]:
    return {
        "memory_used_bytes": float(memory.used),
        "memory_percent": 100.0 * memory.used / memory.total,
    }


class SystemMetrics:
    """Samples for one run, until :meth:`stop`."""

    def __init__(self, run: Run, probes: Sequence[Probe], interval_s: float) -> None:
        self._run = run
        self._failures: dict[Probe, int] = dict.fromkeys(probes, 0)
        self._interval_s = interval_s
        self._pid = os.getpid()
        self._stopping = threading.Event()
        self._logging = threading.Lock()  # nothing is logged after stop() has returned
        self._thread = threading.Thread(target=self._sample_for_ever, name="runfold-system", daemon=True)

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """Log nothing from now on. Does not wait for a look that is under way. In a fork's child nothing goes on."""
        if os.getpid() == self._pid:
            self._stopping.set()
            with self._logging:
                pass

    def _sample_for_ever(self) -> None:
        wait_s = min(FIRST_AFTER_S, self._interval_s)
        while not self._stopping.wait(wait_s) and self._failures and not self._run._stream.ended:
            began = time.monotonic()
            for probe in list(self._failures):
                self._sample(probe)
            wait_s = max(PAUSE_S_MIN, self._interval_s - (time.monotonic() - began))

    def _sample(self, probe: Probe) -> None:
        try:
            values = probe.sample()
            with self._logging:
                if self._stopping.is_set() or self._run._stream.ended:
                    return
                for name, value in values.items():
                    self._run.log(PREFIX + name, value)
        except Exception as error:
            self._failed(probe, error)
        else:
            self._failures[probe] = 0

    def _failed(self, probe: Probe, error: Exception) -> None:
        self._failures[probe] += 1
        if self._failures[probe] == FAILURES_MAX:
            del self._failures[probe]
            _log.warning("runfold: no more system metrics by %s: %s", type(probe).__name__, error)


def check_installed() -> None:
    """Before a run is created whose program asks for system metrics.

    Raises:
        Invalid: the library is not installed.
    """
    if importlib.util.find_spec("psutil") is None:
        raise Invalid(MISSING, facts={"field": "system_metrics", "limit": "runfold[system]"})


def begin(run: Run, interval_s: float) -> SystemMetrics | None:
    """Start sampling for a run; None, and a warning, where this machine cannot be looked at: the job goes on."""
    try:
        sampling = SystemMetrics(run, _probes(), interval_s)
        sampling.start()
    except Exception as error:
        _log.warning("runfold: no system metrics: %s", MISSING if isinstance(error, ImportError) else error)
        return None
    return sampling


def _probes() -> list[Probe]:
    probes: list[Probe] = [HostProbe(importlib.import_module("psutil"))]
    try:
        probes.append(GpuProbe(importlib.import_module("pynvml")))
    except (
        Exception
    ) as error:  # the library is not there, or there is no driver, or no such GPU: most machines
        _log.debug("runfold: no GPUs to look at: %s", error)
    return probes
