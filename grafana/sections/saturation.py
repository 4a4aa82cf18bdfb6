"""Saturation: connections, CPU, slow consumers, memory, files."""

from __future__ import annotations

from grafana.panels import BYTES, COUNT, SHARE, Description, Panel, Series, Thresholds, timeseries
from grafana.promql import SERVER, gauge, rate, restricted_to
from grafana.sections.health import FULLNESS


def panels() -> tuple[Panel, ...]:
    """Return the panels of the resources that usually run out first."""
    return (
        timeseries(
            "Connections of the limit",
            Description(
                "Open connections by server, as a fraction of its limit.",
                "Above 80 %, or servers that differ much.",
                "Add a server. If servers differ, drain the fullest: balancers do not move open connections.",
            ),
            SHARE,
            Series(FULLNESS, "{{instance}}"),
            thresholds=Thresholds(0.8, 0.95),
            top=1,
        ),
        cpu(),
        timeseries(
            "Slow consumers",
            Description(
                "Clients whose write buffer is above the soft limit, by server.",
                "More than a few: these clients lose typing notices and presence first, then the connection.",
                "If all are in one network, check that network. Otherwise see *Slow consumers dropped*.",
            ),
            COUNT,
            Series(gauge("chat_slow_consumers"), "{{instance}}"),
        ),
    )


def cpu(width: int = 8) -> Panel:
    """Return the panel of the CPU of each server process."""
    return timeseries(
        "CPU of one core",
        Description(
            "CPU of each server process, as a fraction of the one core that it can use.",
            "Above 80 %: latency grows fast.",
            "Add a process; a capacity run measures how many users one serves.",
        ),
        SHARE,
        Series(restricted_to(SERVER, rate("process_cpu_seconds_total", by=("job", "instance"))), "{{instance}}"),
        width=width,
        thresholds=Thresholds(0.8, 0.95),
        top=1,
    )


def memory(width: int = 8) -> Panel:
    """Return the panel of the memory of each server process."""
    return timeseries(
        "Memory",
        Description(
            "Resident memory of each server process.",
            "Growth without more connections.",
            "Compare with *Connections* and *Slow consumers*: the write buffer of each client is bounded.",
        ),
        BYTES,
        Series(restricted_to(SERVER, gauge("process_resident_memory_bytes")), "{{instance}}"),
        width=width,
    )


def files(width: int = 8) -> Panel:
    """Return the panel of the open files of each server process."""
    share = f"{gauge('process_open_fds')} / ({gauge('process_max_fds')} > 0)"
    return timeseries(
        "Open files of the limit",
        Description(
            "Open file descriptors of each server process, as a fraction of its limit.",
            "Above 80 %: at the limit the server accepts no connection and opens no file.",
            "Raise `ulimit -n`; at startup the server derives its connection limit from it.",
        ),
        SHARE,
        Series(restricted_to(SERVER, share), "{{instance}}"),
        width=width,
        thresholds=Thresholds(0.8, 0.95),
        top=1,
    )
