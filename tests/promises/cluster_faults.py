"""What goes wrong between nodes, made to happen to real processes in a storm of chat.

Run it with `python -m tests.promises.cluster_faults`.

Each fault is measured: how long until /health tells of it, how long until members who are beyond reach are told as
gone, how long after its end until both are right again; and what was lost, held against what was counted as lost.
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
from tests.promises.cluster_storm import PATIENCE_SECONDS, Storm
from tests.promises.hosts import Host, Switch, inside, problem
from tests.promises.server_process import Server, launch
from tests.server.cluster.fixtures import Nats

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

NODES: Final = 3
ROOMS: Final = 10
MEMBERS: Final = 2
RATE: Final = 200.0
GOAL_HEALTH_SECONDS: Final = 3.0
GOAL_PRESENCE_SECONDS: Final = 5.0

_CALM_SECONDS: Final = 0.5
_SLOW_SECONDS: Final = 1.8  # late for what is ephemeral, not so late that the node misses itself
_LOOK_SECONDS: Final = 0.02
_DROPPED: Final = 'chat_bus_dropped_total{{reason="{}"}}'


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one fault did; times in seconds, None where they do not apply.

    Attributes:
        health: until every node concerned said 503.
        alone: until the clients of each were told only of those whom it can reach.
        healthy: from the fault's end until every node said 200.
        whole: from the fault's end until all were told of all.
        sent: messages.
        missing: deliveries between nodes that were not made.
        typing: the same of `typing`, which is dropped first.
        counted: deliveries that the nodes' metrics say were not made, `typing` included.
        disorder: deliveries that came twice or out of turn, and local ones that did not come.
    """

    fault: str
    health: float | None
    alone: float | None
    healthy: float | None
    whole: float | None
    sent: int
    missing: int
    typing: int
    counted: int
    disorder: int

    @property
    def is_accounted_for(self) -> bool:
        """Whether exactly what is missing was counted, and all else came once and in order."""
        return self.disorder == 0 and self.missing + self.typing == self.counted

    @property
    def is_in_time(self) -> bool:
        """Whether health and presence were as quick as they are to be."""
        limits = (GOAL_HEALTH_SECONDS, GOAL_PRESENCE_SECONDS) * 2
        return all(seconds is None or seconds <= limit for seconds, limit in zip(self.times, limits, strict=True))

    @property
    def times(self) -> tuple[float | None, ...]:
        """All that was timed."""
        return self.health, self.alone, self.healthy, self.whole

    def __str__(self) -> str:
        times = "  ".join("     -" if seconds is None else f"{seconds:6.2f}" for seconds in self.times)
        return (
            f"{self.fault:<34}  {times}  {self.sent:>7}  {self.missing:>7}  {self.typing:>6}  {self.counted:>7}"
            f"  {self.disorder:>8}"
        )


HEADER: Final = (
    f"{'fault':<34}  {'health':>6}  {'alone':>6}  {'healthy':>7} {'whole':>6}  {'sent':>7}  {'missing':>7}  "
    f"{'typing':>6}  {'counted':>7}  {'disorder':>8}"
)


class Health:
    """Asks a node for its health all the time, in a thread of its own."""

    def __init__(self, server: Server) -> None:
        self._url = server.http + "/health"
        self.history: list[tuple[float, int]] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._ended.set()
        self._thread.join()

    def since(self, moment: float, status: int) -> float | None:
        """Return how long after a moment it began to answer so, if it still does."""
        later = [entry for entry in list(self.history) if entry[0] >= moment]
        if not later or later[-1][1] != status:
            return None
        first = later[-1][0]
        for at, answer in reversed(later):
            if answer != status:
                break
            first = at
        return first - moment

    def _look(self) -> None:
        while not self._ended.wait(_LOOK_SECONDS):
            try:
                with urlopen(self._url, timeout=1) as answer:
                    status = answer.status
            except urllib.error.HTTPError as refusal:
                status = refusal.code
                refusal.close()
            except OSError:
                status = 0
            self.history.append((time.monotonic(), status))


class Stage:
    """Nodes on one bus, with a storm over them; the last node is the one that things happen to.

    Args:
        nats: the bus.
        servers: the nodes.
        storm: how its clients chat, beside rooms and members.
    """

    def __init__(self, nats: Nats, servers: Sequence[Server], **storm: Any) -> None:
        self.nats = nats
        self.servers = servers
        for server in servers:
            wait_until(lambda server=server: server.samples()["chat_bus_nodes"] == NODES, "the nodes to meet")  # type: ignore[misc] # bound
        self.storm = Storm([server.url for server in servers], rooms=ROOMS, members=MEMBERS, **{"rate": RATE} | storm)
        self.health = [Health(server) for server in servers]

    @property
    def victim(self) -> Server:
        """The node that things happen to."""
        return self.servers[-1]

    def counted(self, reason: str) -> list[int]:
        """Return what each node counts as dropped for a reason."""
        return [int(server.samples()[_DROPPED.format(reason)]) for server in self.servers if not server.stopped]

    def episode(
        self,
        fault: str,
        begin: Callable[[], object],
        end: Callable[[], object] | None,
        *,
        seconds: float,
        silent: Sequence[int],
        groups: Sequence[Sequence[int]],
    ) -> Outcome:
        """Let a fault happen, and measure it.

        Args:
            fault: its name.
            begin: makes it happen.
            end: makes it good; None: that is never.
            seconds: how long it lasts, at least.
            silent: nodes whose health has to tell of it.
            groups: nodes that reach each other meanwhile; nobody looks at those in none.
        """
        storm = self.storm
        with ExitStack() as stack:
            for health in self.health:
                stack.enter_context(health)
            storm.run(_CALM_SECONDS)
            begun = time.monotonic()
            begin()
            storm.until(lambda: all(self.health[node].since(begun, 503) is not None for node in silent), "503")
            storm.until(lambda: all(storm.agree(group) for group in groups), "those beyond reach to be told as gone")
            told = max((storm.agreed_at(group) or begun for group in groups), default=None)
            storm.until(lambda: time.monotonic() >= begun + seconds, "time to pass")
            found = [self.health[node].since(begun, 503) for node in silent]
            healthy = whole = None
            if end is not None:
                healthy, whole = self._end(end)
            storm.run(_CALM_SECONDS)
        noticed = max((seconds for seconds in found if seconds is not None), default=None)
        # Nobody is told anything by a fault that takes nobody away.
        alone = None if told is None or len(groups[0]) == NODES else told - begun
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            storm.hush()
            outcome = self._outcome(fault, noticed, alone, healthy, whole)
            if outcome.is_accounted_for or time.monotonic() > deadline:
                return outcome  # on a busy machine what is under way may be silent for long

    def _end(self, end: Callable[[], object]) -> tuple[float, float]:
        storm, everybody = self.storm, range(NODES)
        ended = time.monotonic()
        end()
        storm.until(lambda: all(health.since(ended, 200) is not None for health in self.health), "health")
        storm.until(lambda: storm.agree(everybody), "all to be told of all")
        told = storm.agreed_at(everybody)
        assert told is not None
        return max(health.since(ended, 200) or 0.0 for health in self.health), max(told - ended, 0.0)

    def _outcome(
        self, fault: str, health: float | None, alone: float | None, healthy: float | None, whole: float | None
    ) -> Outcome:
        storm = self.storm
        alive = [node for node, server in enumerate(self.servers) if not server.stopped]
        apart = sum(storm.missing(a, b) for a in alive for b in alive if a != b)
        local = sum(storm.missing(node, node) for node in alive)
        # Whom a sender could not reach is everybody elsewhere; what a receiver misses, its own members miss.
        unsent = sum(self.counted("disconnected")) + sum(self.counted("backlog"))
        untaken = sum(self.counted("lost")) + sum(self.counted("ephemeral"))
        counted = storm.members * ((len(alive) - 1) * unsent + untaken)
        typing = sum(storm.missing_typing(node) for node in alive)
        disorder = storm.disorder + abs(local)
        return Outcome(fault, health, alone, healthy, whole, sum(storm.sent), apart, typing, counted, disorder)


@contextmanager
def stage(*nats_flags: str, **storm: Any) -> Iterator[Stage]:
    """Run nodes on loopback, and a storm over them."""
    with ExitStack() as stack:
        nats = Nats(*nats_flags)
        stack.callback(nats.kill)
        yield stack.enter_context(_staged(nats, [[]] * NODES, ["127.0.0.1"] * NODES, **storm))


@contextmanager
def _staged(nats: Nats, prefixes: Sequence[Sequence[str]], hosts: Sequence[str], **storm: Any) -> Iterator[Stage]:
    limits = ("--handshake-rate", "0", "--message-rate", "0", "--heartbeat-interval", "0", "--heartbeat-timeout", "0")

    def start(prefix: Sequence[str], host: str) -> Server:
        return launch("--nats", nats.url, "--host", host, *limits, prefix=prefix)

    with ExitStack() as stack, ThreadPoolExecutor() as pool:
        servers = list(pool.map(start, prefixes, hosts))
        for server in servers:
            stack.callback(_end, server)
        running = Stage(nats, servers, **storm)
        stack.callback(running.storm.close)
        yield running


def _end(server: Server) -> None:
    if not server.stopped:
        server.process.send_signal(signal.SIGCONT)
        server.stop(complains=True)


def nats_killed(seconds: float) -> Outcome:
    """NATS dies, and is started again."""
    with stage() as on:
        return _without_nats(on, "NATS killed", on.nats.kill, on.nats.start, seconds)


def nats_paused(seconds: float) -> Outcome:
    """NATS stands still, and goes on."""
    with stage() as on:
        return _without_nats(on, "NATS paused", on.nats.pause, on.nats.resume, seconds)


def _without_nats(
    on: Stage, what: str, begin: Callable[[], object], end: Callable[[], object], seconds: float
) -> Outcome:
    alone = [[node] for node in range(NODES)]
    return on.episode(what, begin, end, seconds=seconds, silent=range(NODES), groups=alone)


def node_killed(seconds: float) -> Outcome:
    """A node is killed; the others go on, and are told whom they have lost."""
    with stage() as on:

        def kill() -> None:
            on.storm.silence(NODES - 1)
            on.victim.kill()

        return on.episode(
            "a node killed", kill, None, seconds=seconds, silent=[], groups=[range(NODES - 1)],
        )  # fmt: skip


def node_stopped(seconds: float) -> Outcome:
    """A node stands still until NATS gives it up, and wakes."""
    with stage(text_bytes=4000) as on:
        return on.episode(
            "a node stands still", lambda: _signal(on, signal.SIGSTOP), lambda: _signal(on, signal.SIGCONT),
            seconds=seconds, silent=[], groups=[range(NODES - 1)],
        )  # fmt: skip


def node_slow(seconds: float) -> Outcome:
    """A node gets too little CPU for what the bus brings: it lets go of what is ephemeral."""
    with stage(typing=True) as on:

        def hinder() -> None:
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                _signal(on, signal.SIGSTOP)
                on.storm.run(_SLOW_SECONDS)
                _signal(on, signal.SIGCONT)
                on.storm.run(0.2)

        # It is over when all is well again: until then more may be lost, and only what comes after tells of it.
        return on.episode(
            "a node too slow for the bus", hinder, lambda: None, seconds=0, silent=[], groups=[range(NODES)]
        )


def node_cut_off(seconds: float) -> Outcome:
    """A node's cable to the others is cut, and healed; its clients come another way."""
    backbone, access = Switch(0), Switch(1)
    with ExitStack() as stack:
        nats = Nats(address=backbone.address(1))
        stack.callback(nats.kill)
        hosts = [stack.enter_context(Host(backbone, access)) for _ in range(NODES)]
        addresses = [host.addresses[1] for host in hosts]
        on = stack.enter_context(_staged(nats, [host.command() for host in hosts], addresses))
        victim = NODES - 1
        return on.episode(
            "a node cut off the network", lambda: hosts[victim].cut(backbone), lambda: hosts[victim].heal(backbone),
            seconds=seconds, silent=[victim], groups=[range(victim), [victim]],
        )  # fmt: skip


def _signal(on: Stage, number: signal.Signals) -> None:
    on.victim.process.send_signal(number)


FAULTS: Final = {
    fault.__name__: fault for fault in (nats_killed, nats_paused, node_killed, node_stopped, node_slow, node_cut_off)
}
IN_NAMESPACES: Final = {"node_cut_off"}


def play(fault: str, seconds: float) -> Outcome:
    """Let a fault happen for so many seconds, in namespaces of its own where it needs them."""
    if fault not in IN_NAMESPACES:
        return FAULTS[fault](seconds)
    command = inside(sys.executable, "-m", "tests.promises.cluster_faults", "--one", fault, "--seconds", str(seconds))
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return Outcome(**json.loads(done.stdout))


def main(arguments: Sequence[str] | None = None) -> int:
    """Play all faults and print what they did; exit code 1 if one of them took longer, or more, than it may."""
    parser = argparse.ArgumentParser(
        prog=f"{sys.orig_argv[0]} -m tests.promises.cluster_faults", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--seconds", type=float, default=20.0, help="how long each fault lasts (%(default)s)")
    parser.add_argument("--one", choices=FAULTS, help="play this one here, and print what it did as JSON")
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
        outcome = play(fault, options.seconds)
        print(outcome, flush=True)
        code = code or int(not (outcome.is_accounted_for and outcome.is_in_time))
    return code


if __name__ == "__main__":
    sys.exit(main())
