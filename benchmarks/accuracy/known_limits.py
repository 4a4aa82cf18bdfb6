"""Compare capacity runs with servers of other projects, and our own, whose limits are known."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from benchmarks.accuracy.runs import WITHIN, capacity, is_near
from benchmarks.accuracy.servers import LOAD, MESSAGE_RATE, SERVERS, VALUES, Knob, messages_per_second

if TYPE_CHECKING:
    from collections.abc import Sequence

    from capacity.record.report import RunReport

HEADER: Final = f"| server | limit | true users | interval | within {WITHIN:.0%} | bottleneck | load average |"
SEARCH: Final = ("--server-pid", "auto", "--users-min", "20")


def known_limits(servers: Sequence[str], knobs: Sequence[Knob], values: Sequence[float]) -> bool:
    """Measure each server with each limit by one command, and print a table.

    Args:
        servers: names of servers.
        knobs: kinds of limits.
        values: their values; empty for the default ones of each kind.

    Returns: Whether all intervals and bottlenecks are right.
    """
    print(HEADER)
    print("|---" * HEADER.count(" | "), "|---|", sep="")
    good = True
    for name in servers:
        for knob in knobs:
            for value in values or VALUES[knob]:
                good &= _compare(name, knob, value)
    return good


def _compare(name: str, knob: Knob, value: float) -> bool:
    server = SERVERS[name]
    truth = messages_per_second(knob, value) / MESSAGE_RATE
    with server.running(knob, value) as url:
        _, report = capacity("--host", url, *server.dialect, *LOAD, *SEARCH)
    answer = report.answer
    near, right = is_near(report, truth), is_right(report, knob)
    cells = (
        name,
        f"{value:g} ms of CPU a message" if knob is Knob.WORK else f"{value:g} messages/s",
        f"{truth:g}",
        f"{answer.supported_users} to {answer.first_failing_users}",
        "yes" if near else "NO",
        f"{answer.limited_by}{'' if right else ' (WRONG)'}",
        f"{os.getloadavg()[0]:.1f}",
    )
    print(f"| {' | '.join(cells)} |", flush=True)
    return near and right


def is_right(report: RunReport, knob: Knob) -> bool:
    """Return whether the report names the bottleneck of a server with this limit."""
    return (report.answer.limited_by == "server CPU") is (knob is Knob.WORK)
