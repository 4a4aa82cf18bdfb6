"""Models fitted to a run, as `report.json` keeps them."""

from __future__ import annotations

import msgspec


class Interval(msgspec.Struct, frozen=True):
    """A fitted coefficient with its 95 % interval."""

    value: float
    low: float
    high: float


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """The Universal Scalability Law over in-flight deliveries, fitted to the steps that kept pace.

    Attributes:
        rate: lambda, deliveries per second with one delivery in flight; `sigma`: contention; `kappa`: coherency.
        residual: standard error of the residuals in deliveries per second.
        points: (in flight, deliveries per second) of each step used; `efficiency`: of each point, 1 is linear.
        peak: in-flight deliveries at the highest throughput; None if there is no peak in range.
        ceiling: lambda / sigma.
        curve: (in flight, fitted, low, high): the law and its 95 % band over the measured range.
        lines: the model as text.
    """

    rate: Interval
    sigma: Interval
    kappa: Interval
    residual: float
    points: list[tuple[float, float]]
    efficiency: list[float]
    peak: float | None
    ceiling: float | None
    curve: list[tuple[float, float, float, float]]
    lines: list[str]


class Sizing(msgspec.Struct, frozen=True, kw_only=True):
    """Processes, cores and memory for a number of users, computed from the measured capacity of one process.

    Attributes:
        headroom: share of each process that stays free.
        users_per_process: measured; `usable_per_process`: reduced by the headroom.
        processes: processes for the target; `with_spare`: one more, so that one may fail (N+1).
        memory_bytes, sent_bytes_per_s: total over all processes; None if not measured.
        headline: the result in one line.
        arithmetic: every step of the computation as text; `caveats`: its assumptions.
    """

    target_users: int
    headroom: float
    users_per_process: int
    usable_per_process: int
    processes: int
    with_spare: int
    cpu_cores: float | None
    cpu_us_per_user: float | None
    cpu_us_per_delivery: float | None
    memory_bytes: int | None
    bytes_per_user: float | None
    sent_bytes_per_s: float | None
    headline: str
    arithmetic: list[str]
    caveats: list[str]


class ProcessPoint(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one search with a given number of server processes.

    Attributes:
        workers: number of server processes; the other fields repeat the answer of that search.
        deliveries_per_s: at the highest level that passed, once for each pass.
        server_cores: cores of the server; `shared`: also used by the load generator.
        cut_short: whether the search was interrupted.
        folder: folder of that search's report, relative to this report.
    """

    workers: int
    supported_users: int | None
    first_failing_users: int | None
    confirmed: bool
    limited_by: str | None
    deliveries_per_s: list[float]
    server_cores: list[int] | None
    shared: bool
    cut_short: bool = False
    folder: str


class Scaling(msgspec.Struct, frozen=True, kw_only=True):
    """How capacity grows with server processes.

    Attributes:
        points: ordered by number of processes.
        efficiency: deliveries per process of each point, relative to the first point.
        sigma, kappa: Universal Scalability Law over processes; None with too few points.
        lines: the results as text.
    """

    points: list[ProcessPoint]
    efficiency: list[float]
    sigma: float | None
    kappa: float | None
    lines: list[str]
