"""Nodes on one bus under load: run them, and measure the effects of a fault."""

from __future__ import annotations

import signal
import threading
import time
import urllib.error
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final, Self

from benchmarks.http_client import urlopen
from tests.metrics.fixtures import wait_until
from tests.promises.cluster_load import TIMEOUT_SECONDS, ClusterLoad
from tests.promises.fault_outcome import Outcome
from tests.promises.server_process import ServerProcess, launch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tests.server.cluster.fixtures import Nats

NODES: Final = 3
ROOMS: Final = 10
MEMBERS: Final = 2
RATE: Final = 200.0

_UNDISTURBED_SECONDS: Final = 0.5
_POLL_SECONDS: Final = 0.02
_DROPPED: Final = 'chat_bus_dropped_total{{reason="{}"}}'


class HealthPoller:
    """Polls the health of a node in a thread."""

    def __init__(self, server: ServerProcess) -> None:
        self._url = server.http + "/health"
        self.history: list[tuple[float, int]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._poll, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stop.set()
        self._thread.join()

    def since(self, moment: float, status: int) -> float | None:
        """Return how long after a moment the status began, or None if the last status is another one."""
        later = [entry for entry in list(self.history) if entry[0] >= moment]
        if not later or later[-1][1] != status:
            return None
        first = later[-1][0]
        for at, answer in reversed(later):
            if answer != status:
                break
            first = at
        return first - moment

    def _poll(self) -> None:
        while not self._stop.wait(_POLL_SECONDS):
            try:
                with urlopen(self._url, timeout=1) as answer:
                    status = answer.status
            except urllib.error.HTTPError as refusal:
                status = refusal.code
                refusal.close()
            except OSError:
                status = 0
            self.history.append((time.monotonic(), status))


class ClusterUnderTest:
    """Nodes on one bus under load; faults happen to the last node.

    Args:
        nats: the bus.
        servers: the nodes.
        load: options of the load, beside rooms and members.
    """

    def __init__(self, nats: Nats, servers: Sequence[ServerProcess], **load: Any) -> None:
        self.nats = nats
        self.servers = servers
        wait_until(
            lambda: all(server.samples()["chat_bus_nodes"] == NODES for server in servers),
            "the nodes to discover each other",
        )
        self.load = ClusterLoad(
            [server.url for server in servers], rooms=ROOMS, members=MEMBERS, **{"rate": RATE} | load
        )
        self.health = [HealthPoller(server) for server in servers]

    @property
    def victim(self) -> ServerProcess:
        """The node that faults happen to."""
        return self.servers[-1]

    def counted(self, reason: str) -> list[int]:
        """Return how many messages each node counted as dropped for a reason."""
        return [int(server.samples()[_DROPPED.format(reason)]) for server in self.servers if not server.stopped]

    def run_fault(
        self,
        fault: str,
        begin: Callable[[], object],
        end: Callable[[], object] | None,
        *,
        seconds: float,
        unhealthy: Sequence[int],
        groups: Sequence[Sequence[int]],
    ) -> Outcome:
        """Run and measure a fault.

        Args:
            fault: its name.
            begin: starts the fault.
            end: ends it, or None.
            seconds: minimum duration.
            unhealthy: nodes whose health must report the fault.
            groups: nodes that reach each other during the fault; nodes in no group are not checked.
        """
        load = self.load
        with ExitStack() as stack:
            for health in self.health:
                stack.enter_context(health)
            load.run(_UNDISTURBED_SECONDS)
            began = time.monotonic()
            begin()
            load.until(lambda: all(self.health[node].since(began, 503) is not None for node in unhealthy), "503")
            load.until(lambda: all(load.agree(group) for group in groups), "unreachable members to be reported as left")
            agreed = max((load.agreed_at(group) or began for group in groups), default=None)
            load.until(lambda: time.monotonic() >= began + seconds, "time to pass")
            times = [self.health[node].since(began, 503) for node in unhealthy]
            healthy = reunited = None
            if end is not None:
                healthy, reunited = self._end(end)
            load.run(_UNDISTURBED_SECONDS)
        detected = max((seconds for seconds in times if seconds is not None), default=None)
        # A fault that isolates no node changes no presence.
        isolated = None if agreed is None or len(groups[0]) == NODES else agreed - began
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while True:
            load.drain()
            outcome = self._outcome(fault, detected, isolated, healthy, reunited)
            if outcome.is_accounted_for or time.monotonic() > deadline:
                return outcome  # on a busy machine messages in flight may take longer

    def _end(self, end: Callable[[], object]) -> tuple[float, float]:
        load, all_nodes = self.load, range(NODES)
        ended = time.monotonic()
        end()
        load.until(lambda: all(health.since(ended, 200) is not None for health in self.health), "health")
        load.until(lambda: load.agree(all_nodes), "all clients to know all members")
        agreed = load.agreed_at(all_nodes)
        assert agreed is not None
        return max(health.since(ended, 200) or 0.0 for health in self.health), max(agreed - ended, 0.0)

    def _outcome(
        self, fault: str, unhealthy: float | None, isolated: float | None, healthy: float | None, reunited: float | None
    ) -> Outcome:
        load = self.load
        alive = [node for node, server in enumerate(self.servers) if not server.stopped]
        remote = sum(load.missing(a, b) for a in alive for b in alive if a != b)
        local = sum(load.missing(node, node) for node in alive)
        # A message dropped by its sender is missed on all other nodes, one dropped by a receiver only on that node.
        unsent = sum(self.counted("disconnected")) + sum(self.counted("backlog"))
        not_received = sum(self.counted("lost")) + sum(self.counted("ephemeral"))
        counted = load.members * ((len(alive) - 1) * unsent + not_received)
        typing = sum(load.missing_typing(node) for node in alive)
        disorder = load.disorder + abs(local)
        return Outcome(fault, unhealthy, isolated, healthy, reunited, sum(load.sent), remote, typing, counted, disorder)


@contextmanager
def running_nodes(
    nats: Nats, prefixes: Sequence[Sequence[str]], hosts: Sequence[str], **load: Any
) -> Iterator[ClusterUnderTest]:
    """Run nodes on the given hosts under load; a prefix is the command that runs a node on its host."""
    limits = ("--handshake-rate", "0", "--message-rate", "0", "--heartbeat-interval", "0", "--heartbeat-timeout", "0")

    def start(prefix: Sequence[str], host: str) -> ServerProcess:
        return launch("--nats", nats.url, "--host", host, *limits, prefix=prefix)

    with ExitStack() as stack, ThreadPoolExecutor() as pool:
        servers = list(pool.map(start, prefixes, hosts))
        for server in servers:
            stack.callback(_end, server)
        running = ClusterUnderTest(nats, servers, **load)
        stack.callback(running.load.close)
        yield running


def _end(server: ServerProcess) -> None:
    if not server.stopped:
        server.process.send_signal(signal.SIGCONT)
        server.stop(expects_errors=True)
