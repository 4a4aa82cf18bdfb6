"""The bottleneck: the health of the load generator beside the server's."""

from __future__ import annotations

from grafana.panels import (
    BLUE,
    BYTES,
    COUNT,
    GREEN,
    ORANGE,
    SECONDS,
    SHARE,
    Description,
    Panel,
    Series,
    Thresholds,
    timeseries,
)
from grafana.promql import GENERATOR, SERVER, gauge, quantile, rate, restricted_to

_CPU = rate("process_cpu_seconds_total", by=("job", "instance"))
_MEMORY = gauge("process_resident_memory_bytes")
_WORKER_MEMORY = f"sum by (worker) ({gauge('loadtest_worker_resident_memory_bytes')})"


def panels() -> tuple[Panel, ...]:
    """Return the panels of lag, CPU and memory of both sides, and of the workers."""
    return (
        timeseries(
            "Lag p99, both sides",
            Description(
                "Send lag of the generator, and loop lag of the generator and the server.",
                "The generator's lines above the dashed ones: the run measures the generator.",
                "Add workers (`--processes`) or machines until its lines are below the server's.",
            ),
            SECONDS,
            Series(quantile(0.99, "loadtest_send_lag_seconds"), "send lag (generator)", color=ORANGE),
            Series(quantile(0.99, "loadtest_loop_lag_seconds"), "loop lag (generator)", color=BLUE),
            Series(quantile(0.99, "chat_event_loop_lag_seconds"), "loop lag (server)", color=GREEN),
            width=6,
            thresholds=Thresholds(0.025, 0.05),
        ),
        timeseries(
            "CPU of one core, both sides",
            Description(
                "CPU of each server, of each generator process and of the process that exports its metrics, in cores.",
                "A generator process near 100 % while the server is not: the run is invalid.",
                "Add workers (`--processes`) or machines.",
            ),
            SHARE,
            Series(restricted_to(SERVER, _CPU), "server {{instance}}"),
            Series(rate("loadtest_worker_cpu_seconds_total", by=("worker",)), "generator {{worker}}", color=ORANGE),
            Series(restricted_to(GENERATOR, _CPU), "exporter {{instance}}", dashed=True),
            width=6,
            thresholds=Thresholds(0.8, 0.95),
            top=1,
        ),
        timeseries(
            "Memory, both sides",
            Description(
                "Resident memory of each server, of each generator process and of the process that exports its "
                "metrics.",
                "Growth at a constant number of users.",
                "Server: see *Slow consumers*. Generator: run fewer users per process.",
            ),
            BYTES,
            Series(restricted_to(SERVER, _MEMORY), "server {{instance}}"),
            Series(_WORKER_MEMORY, "generator {{worker}}", color=ORANGE),
            Series(restricted_to(GENERATOR, _MEMORY), "exporter {{instance}}", dashed=True),
            width=6,
        ),
        timeseries(
            "Workers",
            Description(
                "Worker processes of Locust, by state; empty if Locust runs as one process.",
                "`missing`: a worker died, and its users with it.",
                "Check the worker's log; memory and open files are the usual causes.",
            ),
            COUNT,
            Series(f"sum by (state) ({gauge('locust_workers')})", "{{state}}"),
            width=6,
        ),
    )


def workers() -> tuple[Panel, ...]:
    """Return the panels of each generator process."""
    return (
        timeseries(
            "Send lag p99 by worker",
            Description(
                "Send lag of each generator process.",
                "One line above the others: its machine or core is busy with other work.",
                "One slow worker makes the whole run invalid: move it, or run fewer users on it.",
            ),
            SECONDS,
            Series(quantile(0.99, "loadtest_worker_send_lag_seconds", by=("worker",)), "worker {{worker}}"),
            width=6,
            thresholds=Thresholds(0.025, 0.05),
        ),
        timeseries(
            "Loop lag p99 by worker",
            Description(
                "Loop lag of each generator process.",
                "Above the dashed lines: that process is saturated.",
                "Add workers.",
            ),
            SECONDS,
            Series(quantile(0.99, "loadtest_worker_loop_lag_seconds", by=("worker",)), "worker {{worker}}"),
            width=6,
            thresholds=Thresholds(0.025, 0.05),
        ),
        timeseries(
            "Users by worker",
            Description(
                "Users of each generator process.",
                "A line that ends: the process died, and its users with it.",
                "Check the worker's log; memory and open files are the usual causes.",
            ),
            COUNT,
            Series(f"sum by (worker) ({gauge('loadtest_worker_users')})", "worker {{worker}}"),
            width=6,
        ),
        timeseries(
            "Report age by worker",
            Description(
                "Time since the last report of each generator process.",
                "Above a few seconds: the process hangs, and its figures are out of date.",
                "Check its CPU above, and the network between it and the master.",
            ),
            SECONDS,
            Series(f"max by (worker) ({gauge('loadtest_worker_report_age_seconds')})", "worker {{worker}}"),
            width=6,
            thresholds=Thresholds(5, 10),
        ),
    )
