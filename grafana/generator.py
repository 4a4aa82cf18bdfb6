"""Who is the limit: the load generator's own health beside the server's."""

from __future__ import annotations

from grafana.common import BLUE, BYTES, COUNT, GREEN, ORANGE, SECONDS, SHARE, About, Panel, Series, Steps, lines
from grafana.promql import GENERATOR, SERVER, gauge, of, quantile, rate

_CPU = rate("process_cpu_seconds_total", by=("job", "instance"))
_MEMORY = gauge("process_resident_memory_bytes")


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
                "CPU time of each server, and of the generator's master, as a share of one core.",
                "The generator near 100 % and the server not: the run has no meaning.",
                "With workers the master's CPU says little: see the lag, which comes from all of them.",
            ),
            SHARE,
            Series(of(SERVER, _CPU), "server {{instance}}"),
            Series(of(GENERATOR, _CPU), "generator {{instance}}", dashed=True),
            width=6, steps=Steps(0.8, 0.95), top=1,
        ),
        lines(
            "Memory, both sides",
            About(
                "Resident memory of each server and of the generator's master.",
                "A slope at a steady number of users.",
                "At the server: see *Slow consumers*. At the generator: fewer users in a process.",
            ),
            BYTES,
            Series(of(SERVER, _MEMORY), "server {{instance}}"),
            Series(of(GENERATOR, _MEMORY), "generator {{instance}}", dashed=True),
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
