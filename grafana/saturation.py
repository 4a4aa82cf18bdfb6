"""How full it is: connections, CPU, slow consumers, memory, files."""

from __future__ import annotations

from grafana.common import BYTES, COUNT, SHARE, About, Panel, Series, Steps, lines
from grafana.health import FULLNESS
from grafana.promql import SERVER, gauge, of, rate


def panels() -> tuple[Panel, ...]:
    """Return what runs out first."""
    return (
        lines(
            "Connections of the limit",
            About(
                "Open connections by server, as a share of what it admits.",
                "Above 80 %; servers that differ much from each other.",
                "Add a server; if they differ, the balancer keeps old connections where they are: drain the fullest.",
            ),
            SHARE, Series(FULLNESS, "{{instance}}"), steps=Steps(0.8, 0.95), top=1,
        ),
        cpu(),
        lines(
            "Slow consumers",
            About(
                "Clients that are behind in reading what they are sent, by server.",
                "More than a few: they lose typing and presence first, then the connection.",
                "One network behind them all? Then it is the network. Else see *Slow consumers dropped*.",
            ),
            COUNT, Series(gauge("chat_slow_consumers"), "{{instance}}"),
        ),
    )  # fmt: skip


def cpu(width: int = 8) -> Panel:
    """Return the CPU of each server process."""
    return lines(
        "CPU of one core",
        About(
            "CPU time of each server process, as a share of the one core that it can use.",
            "Above 80 %: delays grow fast from here on.",
            "Add a process; a capacity run says how many users one holds.",
        ),
        SHARE,
        Series(of(SERVER, rate("process_cpu_seconds_total", by=("job", "instance"))), "{{instance}}"),
        width=width, steps=Steps(0.8, 0.95), top=1,
    )  # fmt: skip


def memory(width: int = 8) -> Panel:
    """Return the memory of each server process."""
    return lines(
        "Memory",
        About(
            "Resident memory of each server process.",
            "A slope that does not follow the connections.",
            "Compare with *Connections* and *Slow consumers*: unsent bytes are bounded for each client.",
        ),
        BYTES, Series(of(SERVER, gauge("process_resident_memory_bytes")), "{{instance}}"), width=width,
    )  # fmt: skip


def files(width: int = 8) -> Panel:
    """Return the open files of each server process."""
    share = f"{gauge('process_open_fds')} / ({gauge('process_max_fds')} > 0)"
    return lines(
        "Open files of the limit",
        About(
            "Open file descriptors of each server process, as a share of what the system allows it.",
            "Above 80 %: at the limit no connection is accepted, nor any file opened.",
            "Raise `ulimit -n`; the server takes its connection limit from it when it starts.",
        ),
        SHARE, Series(of(SERVER, share), "{{instance}}"), width=width, steps=Steps(0.8, 0.95), top=1,
    )  # fmt: skip
