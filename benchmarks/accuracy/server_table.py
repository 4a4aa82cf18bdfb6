"""Compare capacity runs with servers of other projects, and our own, whose limits are known."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from benchmarks.accuracy.runs import WITHIN, capacity, is_near
from benchmarks.accuracy.servers import LOAD, MESSAGE_RATE, SERVERS, VALUES, LimitKind, messages_per_second

if TYPE_CHECKING:
    from collections.abc import Sequence

HEADER: Final = f"| server | limit | true users | interval | within {WITHIN:.0%} | bottleneck | load average |"
BOTTLENECKS: Final = {LimitKind.WORK: "server CPU (", LimitKind.RATE: "none of the observed resources ("}
"""How the text of the bottleneck begins for each kind of limit."""

SEARCH: Final = ("--server-pid", "auto", "--users-min", "20")


def compare_servers(servers: Sequence[str], kinds: Sequence[LimitKind], values: Sequence[float]) -> bool:
    """Measure each server with each limit by one command, and print a table.

    Args:
        servers: names of servers.
        kinds: kinds of limits.
        values: their values; empty for the default ones of each kind.

    Returns: Whether all intervals and bottlenecks are right.
    """
    print(HEADER)
    print("|---" * HEADER.count(" | "), "|---|", sep="")
    good = True
    for name in servers:
        for kind in kinds:
            for value in values or VALUES[kind]:
                good &= _compare(name, kind, value)
    return good


def _compare(name: str, kind: LimitKind, value: float) -> bool:
    server = SERVERS[name]
    truth = messages_per_second(kind, value) / MESSAGE_RATE
    with server.running(kind, value) as url:
        _, report = capacity("--host", url, *server.dialect, *LOAD, *SEARCH)
    answer = report.answer
    near, right = is_near(report, truth), (answer.bottleneck or "").startswith(BOTTLENECKS[kind])
    cells = (
        name,
        f"{value:g} ms of CPU a message" if kind is LimitKind.WORK else f"{value:g} messages/s",
        f"{truth:g}",
        f"{answer.supported_users} to {answer.first_failing_users}",
        "yes" if near else "NO",
        f"{'' if right else 'WRONG: '}{answer.bottleneck}",
        f"{os.getloadavg()[0]:.1f}",
    )
    print(f"| {' | '.join(cells)} |", flush=True)
    return near and right
