"""The snapshot of a run, which the master serves as JSON at `/stampede/snapshot`; pure.

`Snapshot` is the one definition of that JSON: the master encodes it, and capacity runs decode and subtract it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from stampede.generator_faults import Fault, merge_faults
from stampede.measure.figures import Figures, figures_in
from stampede.measure.log_linear_histogram import LogLinearHistogram  # noqa: TC001 # decoded at run time
from stampede.measure.serialization import decode_json, encode_json
from stampede.measure.storm_results import StormResult  # noqa: TC001 # decoded at run time
from stampede.websocket.addresses import AddressUse  # noqa: TC001 # decoded at run time

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from stampede.measure.report import Totals, WorkerReport

VERSION: Final = 1


class WorkerState(StrEnum):
    """The state of a worker's connection to its master."""

    CONNECTED = "connected"
    MISSING = "missing"
    ENDED = "ended"


@dataclass(slots=True, kw_only=True)
class Worker:
    """The state of one process of the load generator.

    Attributes:
        id: Locust's id of the worker; `index` is its number in this test.
        cpu_seconds: CPU time of the process so far.
        loop_lag: lateness of a regular timer; `send_lag`: of messages that were due.
        age_s: seconds since its last report.
        problems: why the process makes the run invalid.
        host: name of the machine that it runs on; empty if it does not report it.
        failure: why its users cannot run; empty if they can.
        connections: open connections of its users; None if it does not report them.
        state: of its connection to the master: `connected`, `missing` (no heartbeat) or `ended`.
    """

    id: str
    pid: int
    index: int
    users: int
    cpu_seconds: float
    loop_lag: LogLinearHistogram
    send_lag: LogLinearHistogram
    rss_bytes: int
    age_s: float
    problems: list[str] = field(default_factory=list)
    host: str = ""
    failure: str = ""
    connections: int | None = None
    state: WorkerState = WorkerState.CONNECTED


@dataclass(slots=True, kw_only=True)
class Snapshot(Figures):
    """The load generator at one moment, all of its living processes merged.

    Attributes:
        version: version of this form.
        state: Locust's state of the run.
        dialect: name of the dialect of its chat users, if there are any.
        monotonic_ns: when the snapshot was made.
        room_size: mean number of members of a room.
        workers: the living processes; `dead_workers`: processes that died, as they last reported.
        storms: storms on command.
        addresses: the server's addresses, and how often each was used.
        faults: limits and errors of the generator's own side, which make the run invalid.
    """

    version: int
    state: str
    monotonic_ns: int
    workers: list[Worker]
    room_size: float | None = None
    dialect: str | None = None
    dead_workers: list[Worker] = field(default_factory=list)
    storms: list[StormResult] = field(default_factory=list)
    addresses: list[AddressUse] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    @property
    def instant_s(self) -> float:
        """When the figures were taken, on the generator's monotonic clock: the merge, minus the reports' mean age."""
        age = sum(worker.age_s for worker in self.workers) / len(self.workers) if self.workers else 0.0
        return self.monotonic_ns / 1e9 - age

    def to_json(self) -> bytes:
        """Return the snapshot as JSON."""
        return encode_json(self)

    @classmethod
    def from_json(cls, body: bytes) -> Snapshot:
        """Return the snapshot in a JSON text.

        Raises:
            msgspec.MsgspecError: the text is not JSON, or not a snapshot.
        """
        return decode_json(body, cls)


def snapshot(
    totals: Totals,
    *,
    state: str,
    now: int,
    ages: Mapping[str, float],
    states: Mapping[str, WorkerState] = {},
    storms: Iterable[StormResult] = (),
    faults: Iterable[Fault] = (),
    dialect: str | None = None,
) -> Snapshot:
    """Return the snapshot of a run.

    Args:
        totals: the reports of all processes.
        state: Locust's state of the run.
        now: monotonic nanoseconds.
        ages: seconds since the last report of each process, by id.
        states: of the processes that are not connected, by id.
        storms: storms on command.
        faults: faults that no process has reported.
        dialect: name of the dialect.
    """
    return Snapshot(
        **figures_in(totals.figures),
        version=VERSION,
        state=state,
        monotonic_ns=now,
        room_size=totals.figures.mean_room_size,
        workers=[_worker(report, ages, states) for report in totals.reports],
        dead_workers=[_worker(report, ages, states) for report in totals.dead],
        storms=list(storms),
        addresses=totals.addresses,
        faults=merge_faults([*totals.faults, *faults]),
        dialect=dialect,
    )


def _worker(report: WorkerReport, ages: Mapping[str, float], states: Mapping[str, WorkerState]) -> Worker:
    return Worker(
        id=report.id,
        pid=report.pid,
        index=report.index,
        users=report.figures.users,
        cpu_seconds=report.cpu_seconds,
        loop_lag=report.figures.loop_lag,
        send_lag=report.figures.send_lag,
        rss_bytes=report.rss_bytes,
        age_s=ages.get(report.id, 0.0),
        problems=[*report.problems, *(fault.text for fault in report.faults)],
        host=report.host,
        failure=report.failure,
        connections=report.figures.connections,
        state=states.get(report.id, WorkerState.CONNECTED),
    )
