"""Faults between nodes, made to happen to real processes under load: `python -m tests.promises.cluster_faults`.

For each fault this measures the time until /health reports it, and until unreachable members are reported as left.
After the end of the fault it measures the time until both are correct again. It also compares the deliveries lost with
those counted as lost.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import threading
import time
import urllib.error
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, Self

from benchmarks.http_client import urlopen
from tests.metrics.fixtures import wait_until
from tests.promises.cluster_load import TIMEOUT_SECONDS, ClusterLoad
from tests.promises.hosts import Host, Switch, inside, problem
from tests.promises.server_process import ServerProcess, launch
from tests.server.cluster.fixtures import Nats

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

NODES: Final = 3
ROOMS: Final = 10
MEMBERS: Final = 2
RATE: Final = 200.0
GOAL_HEALTH_SECONDS: Final = 3.0
GOAL_PRESENCE_SECONDS: Final = 5.0

_UNDISTURBED_SECONDS: Final = 0.5
_SLOW_SECONDS: Final = 1.8  # late enough to drop ephemeral messages, not so late that the node misses its own probes
_POLL_SECONDS: Final = 0.02
_DROPPED: Final = 'chat_bus_dropped_total{{reason="{}"}}'


@dataclass(frozen=True, slots=True)
class Outcome:
    """The effects of one fault; times in seconds, None where they do not apply.

    Attributes:
        unhealthy: until /health of every affected node returned 503.
        isolated: until the clients of each node were told only of members that the node can reach.
        healthy: from the fault's end until every node returned 200.
        reunited: from the fault's end until all clients were told of all members.
        sent: messages sent.
        missing: deliveries between nodes that did not happen.
        typing: the same for `typing`, which is dropped first.
        counted: missing deliveries according to the metrics of the nodes, including `typing`.
        disorder: deliveries that were duplicated or out of order, and missing local ones.
    """

    fault: str
    unhealthy: float | None
    isolated: float | None
    healthy: float | None
    reunited: float | None
    sent: int
    missing: int
    typing: int
    counted: int
    disorder: int

    @property
    def is_accounted_for(self) -> bool:
        """Whether all missing deliveries were counted, and all others arrived once and in order."""
        return self.disorder == 0 and self.missing + self.typing == self.counted

    @property
    def is_in_time(self) -> bool:
        """Whether health and presence changed within their goals."""
        limits = (GOAL_HEALTH_SECONDS, GOAL_PRESENCE_SECONDS) * 2
        return all(seconds is None or seconds <= limit for seconds, limit in zip(self.times, limits, strict=True))

    @property
    def times(self) -> tuple[float | None, ...]:
        """The measured times."""
        return self.unhealthy, self.isolated, self.healthy, self.reunited

    def __str__(self) -> str:
        times = "  ".join(
            f"{'-' if seconds is None else format(seconds, '.2f'):>{width}}"
            for seconds, width in zip(self.times, (9, 8, 7, 8), strict=True)
        )
        return (
            f"{self.fault:<34}  {times}  {self.sent:>7}  {self.missing:>7}  {self.typing:>6}  {self.counted:>7}"
            f"  {self.disorder:>8}"
        )


HEADER: Final = (
    f"{'fault':<34}  {'unhealthy':>9}  {'isolated':>8}  {'healthy':>7}  {'reunited':>8}  {'sent':>7}  {'missing':>7}  "
    f"{'typing':>6}  {'counted':>7}  {'disorder':>8}"
)


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
        load.until(lambda: load.agree(all_nodes), "all clients to be told of all members")
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
def running_cluster(*nats_flags: str, **load: Any) -> Iterator[ClusterUnderTest]:
    """Run nodes on loopback under load."""
    with ExitStack() as stack:
        nats = Nats(*nats_flags)
        stack.callback(nats.kill)
        yield stack.enter_context(_running(nats, [[]] * NODES, ["127.0.0.1"] * NODES, **load))


@contextmanager
def _running(
    nats: Nats, prefixes: Sequence[Sequence[str]], hosts: Sequence[str], **load: Any
) -> Iterator[ClusterUnderTest]:
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


def nats_killed(seconds: float) -> Outcome:
    """NATS is killed and started again."""
    with running_cluster() as cluster:
        return _without_nats(cluster, "NATS killed", cluster.nats.kill, cluster.nats.start, seconds)


def nats_paused(seconds: float) -> Outcome:
    """NATS is suspended and resumed."""
    with running_cluster() as cluster:
        return _without_nats(cluster, "NATS paused", cluster.nats.pause, cluster.nats.resume, seconds)


def _without_nats(
    cluster: ClusterUnderTest, what: str, begin: Callable[[], object], end: Callable[[], object], seconds: float
) -> Outcome:
    isolated = [[node] for node in range(NODES)]
    return cluster.run_fault(what, begin, end, seconds=seconds, unhealthy=range(NODES), groups=isolated)


def node_killed(seconds: float) -> Outcome:
    """A node is killed; the others continue and are told which members left."""
    with running_cluster() as cluster:

        def kill() -> None:
            cluster.load.stop_sending(NODES - 1)
            cluster.victim.kill()

        return cluster.run_fault(
            "a node killed", kill, None, seconds=seconds, unhealthy=[], groups=[range(NODES - 1)],
        )  # fmt: skip


def node_stopped(seconds: float) -> Outcome:
    """A node is suspended until NATS drops its connection, and resumed."""
    with running_cluster(text_bytes=4000) as cluster:
        return cluster.run_fault(
            "a node suspended", lambda: _signal(cluster, signal.SIGSTOP), lambda: _signal(cluster, signal.SIGCONT),
            seconds=seconds, unhealthy=[], groups=[range(NODES - 1)],
        )  # fmt: skip


def node_slow(seconds: float) -> Outcome:
    """A node gets too little CPU for the messages of the bus and drops ephemeral ones."""
    with running_cluster(typing=True) as cluster:

        def slow_down() -> None:
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                _signal(cluster, signal.SIGSTOP)
                cluster.load.run(_SLOW_SECONDS)
                _signal(cluster, signal.SIGCONT)
                cluster.load.run(0.2)

        # The fault ends when the node has recovered: more may be lost until then, and is counted with the next message.
        return cluster.run_fault(
            "a node too slow for the bus", slow_down, lambda: None, seconds=0, unhealthy=[], groups=[range(NODES)]
        )


def node_cut_off(seconds: float) -> Outcome:
    """A node's cable to the others is cut and reconnected; its clients use another network."""
    backbone, access = Switch(0), Switch(1)
    with ExitStack() as stack:
        nats = Nats(address=backbone.address(1))
        stack.callback(nats.kill)
        hosts = [stack.enter_context(Host(backbone, access)) for _ in range(NODES)]
        addresses = [host.addresses[1] for host in hosts]
        cluster = stack.enter_context(_running(nats, [host.command() for host in hosts], addresses))
        victim = NODES - 1
        return cluster.run_fault(
            "a node cut off the network",
            lambda: hosts[victim].cut(backbone),
            lambda: hosts[victim].reconnect(backbone),
            seconds=seconds,
            unhealthy=[victim],
            groups=[range(victim), [victim]],
        )


def _signal(cluster: ClusterUnderTest, number: signal.Signals) -> None:
    cluster.victim.process.send_signal(number)


FAULTS: Final = {
    fault.__name__: fault for fault in (nats_killed, nats_paused, node_killed, node_stopped, node_slow, node_cut_off)
}
IN_NAMESPACES: Final = {"node_cut_off"}


def run_fault(fault: str, seconds: float) -> Outcome:
    """Run a fault for some seconds, in network namespaces if it needs them."""
    if fault not in IN_NAMESPACES:
        return FAULTS[fault](seconds)
    command = inside(sys.executable, "-m", "tests.promises.cluster_faults", "--one", fault, "--seconds", str(seconds))
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return Outcome(**json.loads(done.stdout))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run all faults and print their effects; return 1 if one missed its goals or lost messages uncounted."""
    parser = argparse.ArgumentParser(
        prog=f"{sys.orig_argv[0]} -m tests.promises.cluster_faults", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--seconds", type=float, default=20.0, help="how long each fault lasts (%(default)s)")
    parser.add_argument("--one", choices=FAULTS, help="run only this fault, and print its effects as JSON")
    options = parser.parse_args(arguments)
    if options.one:
        print(json.dumps(asdict(FAULTS[options.one](options.seconds))))
        return 0
    print(HEADER, flush=True)
    code = 0
    for fault in FAULTS:
        if fault in IN_NAMESPACES and (why := problem()):
            print(f"{fault}: {why}")
            continue
        outcome = run_fault(fault, options.seconds)
        print(outcome, flush=True)
        code = code or int(not (outcome.is_accounted_for and outcome.is_in_time))
    return code


if __name__ == "__main__":
    sys.exit(main())
