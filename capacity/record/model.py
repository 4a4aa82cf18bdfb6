"""Models fitted to a run, as `report.json` keeps them."""

from __future__ import annotations

import msgspec


class Interval(msgspec.Struct, frozen=True):
    """A fitted coefficient with its 95 % interval.

    Attributes:
        value: the best estimate.
        low, high: ends of the 95 % interval.
    """

    value: float
    low: float
    high: float


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """The Universal Scalability Law over in-flight deliveries, fitted to the steps that kept pace.

    Attributes:
        rate: lambda, deliveries per second with one delivery in flight.
        sigma: contention, the share of the work that must wait in line.
        kappa: coherency, the cost of agreement with all others.
        residual: standard error of the residuals in deliveries per second.
        points: (in flight, deliveries per second) of each step used.
        efficiency: of each point, 1 is linear.
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
    """Processes, cores, memory and price for a number of users, computed from the measured capacity of one process.

    Attributes:
        target_users: users to serve, of `--target-users`.
        headroom: share of each process that stays free.
        users_per_process: measured users of a process.
        usable_per_process: the same, reduced by the headroom.
        processes: processes for the target.
        with_spare: one more, so that one may fail (N+1).
        cpu_cores: cores of work of all processes; None if not measured.
        cpu_us_per_user: CPU time of a second for each further user, in microseconds.
        cpu_us_per_delivery: CPU time of a delivery in microseconds.
        memory_bytes, sent_bytes_per_s: total over all processes; None if not measured.
        bytes_per_user: memory of each further user.
        headline: the result in one line.
        arithmetic: every step of the computation as text.
        caveats: assumptions of the computation, and what could not be measured.
        cores_per_process: whole cores that a process needs; None if not measured.
        cores: cores that all processes need, the spare one included.
        machines: machines of `machine_cores` cores like the one of the run; None if the server's machine is not known.
        machine_cores: cores of the run's machine.
        price_per_core: price of a core for a month, of `--price-per-core`.
        cost_per_month: of the cores, at `price_per_core`; None without a price or without the number of cores.
        cost: the arithmetic of `cost_per_month` in one line.
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
    cores_per_process: int | None = None
    cores: int | None = None
    machines: int | None = None
    machine_cores: int | None = None
    price_per_core: float | None = None
    cost_per_month: float | None = None
    cost: str | None = None


class ProcessPoint(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one search with a given number of server processes.

    Attributes:
        workers: number of server processes.
        supported_users, first_failing_users, confirmed, limited_by: as in the answer of that search.
        deliveries_per_s: at the highest level that passed, once for each pass.
        server_cores: cores of the server.
        shared: whether the load generator used the same cores.
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
