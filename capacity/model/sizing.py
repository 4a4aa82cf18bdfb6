"""Size a deployment from the measured capacity of one process: plain arithmetic, with every step shown. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import StatisticsError, linear_regression
from typing import TYPE_CHECKING, Final

from capacity.formatting import about, count, format_bytes, listing
from capacity.model.cores import Cores, cores_for
from capacity.model.projection import per_delivery_us
from capacity.record.model import Sizing
from capacity.record.step import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from capacity.record.answer import Answer
    from capacity.record.step import StepRecord

_MIN_LEVELS: Final = 3
_MEASURING_ERROR: Final = 0.05
_NO_COST: Final = "cost not computed: the cores of a process are not known; see --server-pid and --metrics"


@dataclass(frozen=True, slots=True)
class Demand:
    """Users to serve.

    Attributes:
        headroom: share of each process that stays free.
        machine_cores: cores of a machine; None if it is not known.
        price_per_core: price of one core for a month; None to compute no cost.
    """

    users: int
    headroom: float
    machine_cores: int | None = None
    price_per_core: float | None = None


@dataclass(frozen=True, slots=True)
class _Line:
    """A quantity that grows with users: `base` + `slope` x users."""

    base: float
    slope: float

    def at(self, users: float) -> float:
        return self.base + self.slope * users


def size_for(demand: Demand, answer: Answer, steps: Sequence[StepRecord]) -> Sizing | None:
    """Return the sizing for a demand; None if no level passed."""
    if answer.supported_users is None:
        return None
    passed = [step for step in steps if step.verdict is Verdict.PASS and step.users <= answer.supported_users]
    # A step without metrics reports 1 process; the steps that passed at that level have the number.
    measured = max((step.server_processes for step in passed if step.users == answer.supported_users), default=1)
    held = max(1, answer.supported_users // measured)
    usable = max(1, math.floor(held * (1 - demand.headroom) + 1e-9))
    processes = math.ceil(demand.users / usable)
    spread = processes + 1
    cpu = _line(passed, [step.server_cpu for step in passed], measured)
    memory = _line(passed, [step.server_rss_bytes for step in passed], measured)
    sent = _line(passed, [step.server_sent_bytes_per_s for step in passed])
    share = demand.users / spread
    cores = None if cpu is None else cpu.base * spread + cpu.slope * demand.users
    # Each process gets the memory for its share after one has failed.
    taken = None if memory is None else memory.at(demand.users / processes) * spread
    unbounded = answer.first_failing_users is None
    needed = cores_for(spread, _cores_each(passed, answer.supported_users, measured), demand.machine_cores)
    price = demand.price_per_core
    lines = _processes(demand, held, usable, processes, unbounded=unbounded)
    if cpu is not None and cores is not None:
        reserved = needed.total if needed else spread
        lines.append(
            f"CPU: {count(demand.users)} users x {count(round(cpu.slope * 1e6))} us a second each + "
            f"{spread} processes x {cpu.base * 1e3:.0f} ms idle = {cores:.2f} cores of work, "
            f"{cores / reserved * 100:.0f} % of {reserved} cores"
        )
    if memory is not None and taken is not None:
        lines.append(
            f"memory: {spread} processes x ({format_bytes(memory.base)} + "
            f"{count(round(demand.users / processes))} users x {format_bytes(memory.slope)}) = {format_bytes(taken)}, "
            "sockets' kernel memory not counted"
        )
    if sent is not None:
        lines.append(
            f"network: {count(demand.users)} users x {format_bytes(sent.slope)}/s = "
            f"{format_bytes(sent.slope * demand.users)}/s of WebSocket frames "
            f"({sent.slope * demand.users * 8 / 1e6:.0f} Mbit/s)"
        )
    return Sizing(
        target_users=demand.users,
        headroom=demand.headroom,
        users_per_process=held,
        usable_per_process=usable,
        processes=processes,
        with_spare=spread,
        cpu_cores=cores,
        cpu_us_per_user=None if cpu is None else cpu.slope * 1e6,
        cpu_us_per_delivery=per_delivery_us(passed),
        memory_bytes=None if taken is None else round(taken),
        bytes_per_user=None if memory is None else memory.slope,
        sent_bytes_per_s=None if sent is None else sent.slope * demand.users,
        headline=_headline(spread, needed, taken, unbounded=unbounded),
        arithmetic=[*lines, f"with all {spread} running each carries {about(share)} users"],
        caveats=[
            *_caveats(answer, measured),
            *(needed.caveats if needed else []),
            *_missing(passed, {"CPU": cpu, "memory": memory, "network": sent}),
            *([_NO_COST] if needed is None and price is not None else []),
        ],
        cores_per_process=needed.each if needed else None,
        cores=needed.total if needed else None,
        machines=needed.machines if needed else None,
        machine_cores=needed.machine if needed else None,
        price_per_core=price,
        cost_per_month=needed.cost(price) if needed and price is not None else None,
        cost=needed.cost_text(price, at_most=unbounded) if needed and price is not None else None,
    )


def _cores_each(steps: Sequence[StepRecord], users: int, processes: int) -> int | None:
    """Return the cores that a process needs: those that it used at the highest level, rounded up; None if unknown."""
    used = [step.server_cpu / processes for step in steps if step.users == users and step.server_cpu is not None]
    return max(1, math.ceil(max(used) - _MEASURING_ERROR)) if used else None


def _headline(spread: int, cores: Cores | None, memory: float | None, *, unbounded: bool) -> str:
    """Return the result in one line. If no level failed, fewer processes may be enough."""
    most, doubt = ("at most ", "; limit not reached") if unbounded else ("", "")
    of_memory = "" if memory is None else f", {format_bytes(memory)} of memory"
    on_cores = f" {cores.words}" if cores else ""
    return f"{most}{spread} processes{on_cores}{of_memory}{doubt}"


def _processes(demand: Demand, held: int, usable: int, processes: int, *, unbounded: bool) -> list[str]:
    free = f"{demand.headroom * 100:g} %"
    at_least = "at least " if unbounded else ""
    return [
        f"{at_least}{count(held)} users held by one process, less {free} headroom: {count(usable)} users a process",
        (
            f"{count(demand.users)} / {count(usable)} = {demand.users / usable:.2f}, so {processes} "
            f"process{'es' if processes > 1 else ''}; one more, so that one may fail (N+1): {processes + 1}"
        ),
    ]


def _caveats(answer: Answer, measured: int) -> list[str]:
    found = ["assumes that the users of a room share a process: fan-out between processes costs more"]
    if measured > 1:
        found = [f"measured with {measured} processes and the bus between them; with more processes, each holds less"]
    if answer.first_failing_users is None:
        found.append("one process may hold more: its limit was not reached, so fewer processes may be enough")
    if not answer.confirmed:
        found.append(f"the capacity of one process was {answer.confirmation}")
    if answer.disturbance:
        found.append("the machine was not quiet during the measurement")
    return found


def _missing(steps: Sequence[StepRecord], lines: dict[str, _Line | None]) -> list[str]:
    """Name the quantities that are not computed, and why."""
    fields = {"CPU": "server_cpu", "memory": "server_rss_bytes", "network": "server_sent_bytes_per_s"}
    missing = [name for name, line in lines.items() if line is None]
    unknown = [name for name in missing if all(getattr(step, fields[name]) is None for step in steps)]
    found = []
    if unknown:
        found.append(f"{listing(unknown)} of the server unknown, so not computed; see --server-pid and --metrics")
    if few := [name for name in missing if name not in unknown]:
        found.append(
            f"{listing(few)} per user not computed: that needs {_MIN_LEVELS} levels that passed, and growth with users"
        )
    return found


def _line(steps: Sequence[StepRecord], values: Sequence[float | None], processes: int = 1) -> _Line | None:
    """Fit a quantity over users, with the base of one process; None with fewer than three levels or without growth.

    A base that noise puts below zero counts as zero.
    """
    known = [(float(step.users), float(value)) for step, value in zip(steps, values, strict=True) if value is not None]
    if len({users for users, _ in known}) < _MIN_LEVELS:
        return None
    try:
        slope, base = linear_regression(*zip(*known, strict=True))
    except StatisticsError:
        return None
    return _Line(max(0.0, base) / processes, slope) if slope > 0 else None
