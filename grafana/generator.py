"""Who is the limit: the load generator's own health beside the server's."""

from __future__ import annotations

from grafana.common import BLUE, BYTES, COUNT, GREEN, ORANGE, SECONDS, SHARE, About, Panel, Series, Steps, lines
from grafana.promql import GENERATOR, SERVER, gauge, of, quantile, rate

_CPU = rate("process_cpu_seconds_total", by=("job", "instance"))
_MEMORY = gauge("process_resident_memory_bytes")
_WORKER_MEMORY = f"sum by (worker) ({gauge('loadtest_worker_resident_memory_bytes')})"


def panels() -> tuple[Panel, ...]:
    """Return lag, CPU and memory of both sides, and the workers."""
    return (
        lines(
            "Late p99",
            About(
                "How late the generator sends, and how late a timer runs in each of the two processes.",
                "The generator's lines above the dashed ones: what is measured is the generator.",
                "Add workers (`--processes`) or machines until its lines are lower than the server's.",
            ),
            SECONDS,
            Series(quantile(0.99, "loadtest_send_lag_seconds"), "sends (generator)", color=ORANGE),
            Series(quantile(0.99, "loadtest_loop_lag_seconds"), "timer (generator)", color=BLUE),
            Series(quantile(0.99, "chat_event_loop_lag_seconds"), "timer (server)", color=GREEN),
            width=6, steps=Steps(0.025, 0.05),
        ),
        lines(
            "CPU of one core, both sides",
            About(
                "CPU time of each server, each process of the generator and what exports its metrics, of one core.",
                "A process of the generator near 100 % and the server not: the run has no meaning.",
                "Add workers (`--processes`) or machines.",
            ),
            SHARE,
            Series(of(SERVER, _CPU), "server {{instance}}"),
            Series(rate("loadtest_worker_cpu_seconds_total", by=("worker",)), "generator {{worker}}", color=ORANGE),
            Series(of(GENERATOR, _CPU), "exporter {{instance}}", dashed=True),
            width=6, steps=Steps(0.8, 0.95), top=1,
        ),
        lines(
            "Memory, both sides",
            About(
                "Resident memory of each server, each process of the generator and what exports its metrics.",
                "A slope at a steady number of users.",
                "At the server: see *Slow consumers*. At the generator: fewer users in a process.",
            ),
            BYTES,
            Series(of(SERVER, _MEMORY), "server {{instance}}"),
            Series(_WORKER_MEMORY, "generator {{worker}}", color=ORANGE),
            Series(of(GENERATOR, _MEMORY), "exporter {{instance}}", dashed=True),
            width=6,
        ),
        lines(
            "Workers",
            About(
                "Worker processes of Locust, by state; none when it runs as one process.",
                "`missing`: a worker is gone, and its users with it.",
                "Look at the worker's log; memory and open files are the usual causes.",
            ),
            COUNT, Series(f"sum by (state) ({gauge('locust_workers')})", "{{state}}"), width=6,
        ),
    )  # fmt: skip


def workers() -> tuple[Panel, ...]:
    """Return each process of the generator."""
    return (
        lines(
            "Sends late p99 by worker",
            About(
                "How late each process of the generator sends.",
                "One above the others: its machine or core is busy with something else.",
                "One slow worker makes the whole run invalid: move it, or give it fewer users.",
            ),
            SECONDS, Series(quantile(0.99, "loadtest_worker_send_lag_seconds", by=("worker",)), "worker {{worker}}"),
            width=6, steps=Steps(0.025, 0.05),
        ),
        lines(
            "Timer late p99 by worker",
            About(
                "How late a timer runs in each process of the generator.",
                "Above the dashed lines: that process is saturated.",
                "Add workers.",
            ),
            SECONDS, Series(quantile(0.99, "loadtest_worker_loop_lag_seconds", by=("worker",)), "worker {{worker}}"),
            width=6, steps=Steps(0.025, 0.05),
        ),
        lines(
            "Users by worker",
            About(
                "Users in each process of the generator.",
                "A line that ends: that process died, and its users with it.",
                "Look at the worker's log; memory and open files are the usual causes.",
            ),
            COUNT, Series(f"sum by (worker) ({gauge('loadtest_worker_users')})", "worker {{worker}}"), width=6,
        ),
        lines(
            "Report age by worker",
            About(
                "Time since each process of the generator last reported.",
                "Above a few seconds: it hangs, and what is shown is older than it looks.",
                "Look at its CPU above, and at the network between it and the master.",
            ),
            SECONDS, Series(f"max by (worker) ({gauge('loadtest_worker_report_age_seconds')})", "worker {{worker}}"),
            width=6, steps=Steps(5, 10),
        ),
    )  # fmt: skip
