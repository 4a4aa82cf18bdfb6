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
import time
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from tests.promises.cluster_under_test import NODES, running_nodes
from tests.promises.fault_outcome import HEADER, Outcome
from tests.promises.hosts import Host, Switch, inside, problem
from tests.server.cluster.fixtures import Nats

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tests.promises.cluster_under_test import ClusterUnderTest

_SLOW_SECONDS: Final = 1.8  # late enough to drop ephemeral messages, not so late that the node misses its own probes


@contextmanager
def running_cluster(*nats_flags: str, **load: Any) -> Iterator[ClusterUnderTest]:
    """Run nodes on loopback under load."""
    with ExitStack() as stack:
        nats = Nats(*nats_flags)
        stack.callback(nats.kill)
        yield stack.enter_context(running_nodes(nats, [[]] * NODES, ["127.0.0.1"] * NODES, **load))


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
    """A node is killed; the others continue and report its members as left."""
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
        cluster = stack.enter_context(running_nodes(nats, [host.command() for host in hosts], addresses))
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
