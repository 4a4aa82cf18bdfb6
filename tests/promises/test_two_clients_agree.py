"""The latency that the load test reports is the one that an independent client sees: another language and library."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.node_packages import CACHE
from tests.stampede.fixtures import latency

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.processes import RunningServer
    from tests.stampede.fixtures import Locust

CLIENTS = Path(__file__).parent / "two_clients.mjs"
TRIES = 6
DELIVERED = 'chat_messages_delivered_total{type="chatMessage"}'


def node_median(url: str) -> float:
    done = subprocess.run(
        ["node", str(CLIENTS), str(CACHE / "plain"), url, "100"], capture_output=True, text=True, timeout=60, check=True
    )
    return float(done.stdout)


def wait_for_deliveries(server: RunningServer, more: int) -> None:
    wanted = server.samples()[DELIVERED] + more
    while server.samples()[DELIVERED] < wanted:
        time.sleep(0.05)


def test_an_independent_client_sees_the_same_latency(
    locust: Callable[..., Locust], server: RunningServer, plain_peer_command: list[str]
) -> None:
    """Within 1 ms or 10 % in some quiet moment: what comes between them on a busy machine is neither's measure."""
    assert plain_peer_command  # it has installed `ws`
    seen = []
    flags = ("--headless", "ChattingUser", "-u", "2", "-r", "2", "--room-size", "2", "--message-rate", "20")
    for _ in range(TRIES):
        running = locust("--host", server.url, *flags)
        wait_for_deliveries(server, 20)  # of the same moments are both medians only if both talk
        theirs = node_median(server.url)
        running.interrupt()
        ours = latency(running.wait().out, "from actual send", "p50")
        seen.append((ours, theirs))
        if abs(ours - theirs) <= max(1.0, 0.1 * theirs):
            return
    raise AssertionError(f"never agreed: {seen}")
