"""A fleet under load and faults, then the checker; the same for minutes and for a minute."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from msgspec import Struct, to_builtins

from tests.support.distributed import checker
from tests.support.distributed.faults import STAGES, Monitor, Nemesis, Suffered
from tests.support.distributed.findings import PROCESS, Findings
from tests.support.distributed.fleet import SETTLE_S_MAX, Fleet, FleetSettings, RoleName, fleet_on
from tests.support.stack import StackForTest

COUNTS: Final[dict[RoleName, int]] = {"api": 1, "decider": 2, "relay": 2, "projector": 2}


class SoakSettings(Struct, frozen=True, kw_only=True):
    """What happens, and for how long."""

    fleet: FleetSettings
    kafka_rate: float  # commands a second, of all workers that send by Kafka together
    kafka_workers: int = 2
    http_rate: float = 100.0
    seconds: float = 0.0  # at random until then and every one has been; 0: every fault once, in order
    calm_s: tuple[float, float] = (0.5, 1.0)  # between a recovery and the next fault
    stop_s: tuple[float, float] = (3.5, 4.0)  # how long a process stands still
    settle_s: float = SETTLE_S_MAX  # how long everything that was sent may take to be handled
    leaves_out: frozenset[str] = frozenset()  # faults
    seed: int = 1


class Soaked(Struct, kw_only=True):
    """What came out."""

    findings: Findings
    suffered: list[Suffered]
    load_s: float

    def report(self) -> str:
        """For people."""
        head = f"{'fault':<34}{'lasted':>8}{'well after':>12}" + "".join(f"{stage:>11}" for stage in STAGES)
        lines = ["seconds; the last three: the longest time without progress", head]
        for one in self.suffered:
            stood = "".join(f"{one.stood_s[stage]:>11.1f}" for stage in STAGES)
            lines.append(f"{one.fault:<34}{one.lasted_s:>8.1f}{one.recovered_s:>12.1f}{stood}")
        return "\n".join([*lines, "", self.findings.render()])

    def to_builtins(self) -> dict[str, Any]:
        """For programs."""
        return {
            "load_s": self.load_s,
            "faults": to_builtins(self.suffered),
            "violations": dict(self.findings.counts),
            "examples": self.findings.kept,
            "figures": self.findings.figures,
        }


async def soak(stack: StackForTest, folder: Path, settings: SoakSettings) -> Soaked:
    """Load, faults one at a time, the end of the load, a pause until everything stands still, the checker."""
    async with fleet_on(stack, folder, settings.fleet) as fleet:
        await fleet.start_all(COUNTS)
        async with Monitor(fleet) as monitor:
            nemesis = Nemesis(fleet, monitor, random.Random(settings.seed), settings.stop_s)
            begun = time.monotonic()
            _start_load(fleet, settings)
            await _suffer(nemesis, settings)
            load_s = time.monotonic() - begun
            await fleet.end_load()
        settled_s = await fleet.settled(settings.settle_s)
        codes = await _end(fleet)
        findings = await checker.check(fleet.place(may_begin_late=frozenset(nemesis.emptied)))
    figures = findings.figures
    sent = figures["commands sent by kafka"] + figures["commands sent by http"]
    figures["seconds of load"] = load_s
    figures["commands sent a second"] = sent / load_s
    figures["faults"] = len(nemesis.suffered)
    figures["longest recovery, s"] = max((one.recovered_s for one in nemesis.suffered), default=0.0)
    figures["settled after the load within, s"] = settled_s
    figures["load average of the machine"] = [round(load, 1) for load in os.getloadavg()]
    for name in (name for name, code in codes.items() if code):
        findings.add(PROCESS, f"{name} ended with {codes[name]}")
    return Soaked(findings=findings, suffered=nemesis.suffered, load_s=load_s)


def _start_load(fleet: Fleet, settings: SoakSettings) -> None:
    for _ in range(settings.kafka_workers):
        fleet.start_kafka_worker(settings.kafka_rate / settings.kafka_workers)
    fleet.start_http_worker(settings.http_rate)


async def _suffer(nemesis: Nemesis, settings: SoakSettings) -> None:
    names = [name for name in nemesis.faults() if name not in settings.leaves_out]
    luck = random.Random(settings.seed)
    await asyncio.sleep(settings.calm_s[1])
    if not settings.seconds:
        await _each(nemesis, names, luck, settings.calm_s)
        return
    end = time.monotonic() + settings.seconds
    while time.monotonic() < end:
        luck.shuffle(names)
        for name in names:
            done = {one.fault for one in nemesis.suffered}
            if time.monotonic() > end and done.issuperset(names):
                return
            await _each(nemesis, [name], luck, settings.calm_s)


async def _each(
    nemesis: Nemesis, names: Sequence[str], luck: random.Random, calm_s: tuple[float, float]
) -> None:
    for name in names:
        suffered = await nemesis.do(name)
        print(f"{name}: lasted {suffered.lasted_s} s, well after {suffered.recovered_s} s", flush=True)
        await asyncio.sleep(luck.uniform(*calm_s))


async def _end(fleet: Fleet) -> dict[str, int]:
    """End all roles as an operator would; their exit codes."""
    processes = [process for running in fleet.roles.values() for process in running]
    codes = await asyncio.gather(*(process.end() for process in processes))
    return {process.name: code for process, code in zip(processes, codes, strict=True)}
