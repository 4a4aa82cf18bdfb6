"""A demonstration of a cluster on five hosts, each a network namespace: `make cluster-demo`.

Two hosts run a chat server each. A third runs NATS, HAProxy and Prometheus, a fourth Locust's master and a worker, and
a fifth another worker. After the load test, a short capacity run uses the same two hosts as its load generator. The
demonstration ends by itself, and no process or file remains, even if it is killed.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
import urllib.parse
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from benchmarks.http_client import urlopen
from capacity.errors import CapacityError, ExitCode, RunError
from capacity.processes.process import ChildProcess
from capacity.record.report import read_report
from tests.promises.hosts import Host, Switch, inside, problem
from tests.tables import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from capacity.record.report import RunReport

START_SECONDS: Final = 90.0
BALANCER: Final = ROOT / "deploy" / "haproxy.cfg"

_CHAT, _METRICS, _NATS, _STATUS, _PROMETHEUS, _MASTER, _GENERATOR = 8080, 9100, 4222, 8404, 9090, 5557, 9646
_NAMES: Final = ("chat-1", "chat-2", "middle", "load-1", "load-2")
_FIGURES: Final = (
    ("scraped by Prometheus", "max_over_time(up[5m])"),
    ("connections", "sum by (instance) (max_over_time(chat_connections[5m]))"),
    ("chat messages received", 'sum by (instance) (chat_messages_received_total{type="chatMessage"})'),
    ("chat messages delivered", 'sum by (instance) (chat_messages_delivered_total{type="chatMessage"})'),
    ("messages put on the bus", 'sum by (instance) (chat_bus_messages_total{direction="sent"})'),
    ("lost on the bus", "sum by (instance) (chat_bus_dropped_total)"),
)


class Demo:
    """The processes of the demonstration; leaving the context ends them.

    Args:
        folder: for the files that the processes write.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = ExitStack()
        switch = Switch(0)
        self._hosts = {name: self._stack.enter_context(Host(switch, name=name)) for name in _NAMES}
        self.prometheus = f"http://{self.address('middle')}:{_PROMETHEUS}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stack.close()

    def address(self, name: str) -> str:
        """Return a host's address."""
        return self._hosts[name].addresses[0]

    def start(self) -> None:
        """Start NATS, the servers, HAProxy and Prometheus.

        Raises:
            RunError: a process did not become ready.
        """
        middle = self.address("middle")
        nats = Path(sysconfig.get_path("scripts")) / "nats-server"
        self._run("NATS", "middle", str(nats), "--addr", middle, "--port", str(_NATS)).wait_until(
            lambda: _listens(middle, _NATS), timeout_s=START_SECONDS, what="listen"
        )
        for name in ("chat-1", "chat-2"):
            self._start_server(name)
        # The configuration for deployments, with the addresses of the demonstration.
        servers = (f"BALANCER_SERVER_{n}={self.address(f'chat-{n}')}:{_CHAT}" for n in (1, 2))
        where = (f"BALANCER_LISTEN={middle}:{_CHAT}", f"BALANCER_STATUS={middle}:{_STATUS}")
        self._run("HAProxy", "middle", "env", *servers, *where, "haproxy", "-db", "-f", str(BALANCER))
        self._start_prometheus()
        _until(lambda: _answers(f"http://{middle}:{_CHAT}/health"), "HAProxy to reach the servers")
        serving = {"chat-1": 1.0, "chat-2": 1.0, "middle": 1.0, "load-1": 0.0}
        _until(lambda: self.query("up") == serving, "Prometheus to scrape the servers")

    def load(self, users: int, seconds: float) -> str:
        """Run Locust through HAProxy; return the output of its master.

        Raises:
            RunError: Locust failed, or messages were lost.
        """
        master = self.address("load-1")
        locust = (sys.executable, "-m", "locust", "-f", "loadtest")
        bind = ("--master-bind-host", master, "--master-bind-port", str(_MASTER), "--expect-workers", "2")
        load = ("-u", str(users), "-r", str(users), "-t", f"{seconds:.0f}s", "--room-size", "10", "ChattingUser")
        running = self._run(
            "Locust's master", "load-1", *locust, "--master", "--headless", *bind, *load,
            "--host", f"ws://{self.address('middle')}:{_CHAT}", "--prometheus-port", str(_GENERATOR),
        )  # fmt: skip
        for name in ("load-1", "load-2"):
            join = ("--worker", "--master-host", master, "--master-port", str(_MASTER))
            self._run(f"Locust's worker on {name}", name, *locust, *join)
        try:
            running.wait_until(lambda: None, timeout_s=START_SECONDS + seconds, what="end")
        except RunError as ended:
            if ended.child_exit != 0:
                raise
        return running.output()

    def capacity(self, users: int) -> RunReport:
        """Measure a level of users with the load generator on two hosts; return the report.

        Raises:
            RunError: the capacity run failed.
        """
        report = self._folder / "report"
        level = ("--bounded", str(users), "--room-size", "10", "--window", "3", "--report", str(report), "--runs", "")
        load = ("--host", f"ws://{self.address('middle')}:{_CHAT}", "--expect-workers", "2", *level)
        running = self._run("the capacity run", "load-1", sys.executable, "-m", "capacity", *load)
        for name in ("load-1", "load-2"):
            join = ("--worker", "--master-host", self.address("load-1"))
            self._run(
                f"the worker of the capacity run on {name}", name, sys.executable, "-m", "locust", "-f", "-", *join
            )
        try:
            running.wait_until(lambda: None, timeout_s=2 * START_SECONDS, what="end")
        except RunError as ended:
            if ended.child_exit not in (ExitCode.ANSWERED, ExitCode.LEVEL_FAILED):
                raise
        return read_report(report / "report.json")

    def query(self, query: str) -> dict[str, float]:
        """Return the values of a Prometheus query by host."""
        url = f"{self.prometheus}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
        with urlopen(url, timeout=10) as answer:
            found = json.load(answer)["data"]["result"]
        names = {self.address(name): name for name in _NAMES}
        return {names[one["metric"]["instance"].partition(":")[0]]: float(one["value"][1]) for one in found}

    def figures(self, received: float, delivered: float) -> dict[str, dict[str, float]]:
        """Return the figures to print, once Prometheus has scraped that many messages, or after a timeout."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            figures = {what: self.query(query) for what, query in _FIGURES}
            if _message_counts(figures) == (received, delivered) or time.monotonic() > deadline:
                return figures
            time.sleep(0.2)

    def _start_server(self, name: str) -> None:
        address, bus = self.address(name), f"nats://{self.address('middle')}:{_NATS}"
        ports = ("--port", str(_CHAT), "--metrics-port", str(_METRICS), "--trusted-proxy", self.address("middle"))
        uploads = ("--upload-dir", str(self._folder / name))
        limits = ("--handshake-rate", "0", "--log-level", "warning", "--drain-seconds", "0")
        command = (sys.executable, "-m", "server", "--host", address, "--nats", bus, *ports, *uploads, *limits)
        server = self._run(f"the server on {name}", name, *command)
        url = f"http://{address}:{_CHAT}/health"
        server.wait_until(lambda: _answers(url) or None, timeout_s=START_SECONDS, what="answer")

    def _start_prometheus(self) -> None:
        targets = {
            "chat": [f"{self.address(name)}:{_METRICS}" for name in ("chat-1", "chat-2")],
            "balancer": [f"{self.address('middle')}:{_STATUS}"],
            "loadtest": [f"{self.address('load-1')}:{_GENERATOR}"],
        }
        jobs = [{"job_name": job, "static_configs": [{"targets": where}]} for job, where in targets.items()]
        configuration = self._folder / "prometheus.yml"
        every = {"scrape_interval": "1s", "scrape_timeout": "900ms"}
        configuration.write_text(json.dumps({"global": every, "scrape_configs": jobs}))  # JSON is YAML
        self._run(
            "Prometheus", "middle", "prometheus", f"--config.file={configuration}", "--log.level=error",
            f"--storage.tsdb.path={self._folder / 'data'}", f"--web.listen-address={self.prometheus[7:]}",
        ).wait_until(
            lambda: _answers(f"{self.prometheus}/-/ready") or None, timeout_s=START_SECONDS, what="be ready"
        )  # fmt: skip

    def _run(self, what: str, where: str, *command: str) -> ChildProcess:
        log = self._folder / f"{re.sub('[^a-z0-9]+', '-', what.lower())}.log"
        process = ChildProcess(what, self._hosts[where].command(*command), output=log, cwd=ROOT, cores=())
        self._stack.callback(process.end)
        return process


def _message_counts(figures: dict[str, dict[str, float]]) -> tuple[float, float]:
    """Return the numbers of messages that the servers received and delivered."""
    return sum(figures["chat messages received"].values()), sum(figures["chat messages delivered"].values())


def _between(text: str, first: str, last: str) -> str:
    """Return the lines from one that starts with `first` to one that starts with `last`."""
    found = re.search(rf"^{first}.*^{last}[^\n]*\n", text, re.MULTILINE | re.DOTALL)
    return found[0] if found else text


def _answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _listens(address: str, port: int) -> bool | None:
    with socket.socket() as probe:
        return probe.connect_ex((address, port)) == 0 or None


def _until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise RunError(f"waited {START_SECONDS:.0f} s for {what}")
        time.sleep(0.1)


def run_demo(folder: Path, users: int, seconds: float) -> None:
    """Run the demonstration and print its figures.

    Raises:
        RunError: a process failed, or messages are missing.
    """
    with Demo(folder) as demo:
        print("  ".join(f"{name} {demo.address(name)}" for name in _NAMES), flush=True)
        demo.start()
        print(f"{users} users chat for {seconds:.0f} s ...", flush=True)
        summary = demo.load(users, seconds)
        sent = re.search(r"(\d+) sent", summary)
        ledger = re.search(r"(\d+) expected, (\d+) received, 0 lost, 0 duplicated, 0 reordered", summary)
        print(_between(summary, "  offered", "  verdict"))
        if sent is None or ledger is None or ledger[1] != ledger[2]:
            raise RunError("not every message was delivered once and in order")
        counts = float(sent[1]), float(ledger[1])
        figures = demo.figures(*counts)
        for what, by_host in figures.items():
            print(f"{what:<26}" + "".join(f"{host} {value:>9,.0f}   " for host, value in sorted(by_host.items())))
        if _message_counts(figures) != counts:
            raise RunError(f"the servers counted {_message_counts(figures)}, the clients {counts}")
        print("Every message arrived once and in order at every member, over both servers; all counters agree.")
        print(f"\nA capacity run of {users} users, with the load generator on two hosts ...", flush=True)
        report = demo.capacity(users)
        print(report.answer.sentence)
        for worker, cpu in zip(report.workers, report.steps[-1].generator_cpu, strict=True):
            print(f"{worker.name} on {worker.host}: {worker.state}, {cpu:.0%} of a core")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demonstration in namespaces; return 0, 2 if a tool is missing, 98 if it failed."""
    parser = argparse.ArgumentParser(
        prog=f"{sys.orig_argv[0]} -m tests.promises.cluster_demo", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--users", type=int, default=200, help="(%(default)s)")
    parser.add_argument("--seconds", type=float, default=30.0, help="duration of the load (%(default)s)")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)  # for the process inside the namespaces
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if options.folder is not None:
        try:
            run_demo(options.folder, options.users, options.seconds)
        except CapacityError as error:
            print(f"cluster-demo: {error}", file=sys.stderr)
            return ExitCode.INVALID
        return 0
    for tool in ("haproxy", "prometheus"):
        if shutil.which(tool) is None:
            print(f"cluster-demo: {tool} not found: install {tool}", file=sys.stderr)
            return 2
    if why := problem():
        print(f"cluster-demo: {why}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="stampede-") as folder:
        arguments_inside = ("--folder", folder, "--users", str(options.users), "--seconds", str(options.seconds))
        try:
            return subprocess.run(
                inside(sys.executable, "-m", "tests.promises.cluster_demo", *arguments_inside), check=False
            ).returncode
        except KeyboardInterrupt:
            return 130


if __name__ == "__main__":
    sys.exit(main())
