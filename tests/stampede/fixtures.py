"""Fixtures that run real Locust processes or groups of chat clients, and helpers to parse their output."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from stampede.websocket.reactor import Reactor
from tests import preloaded
from tests.ports import free_port
from tests.stampede.client.client_group import ClientGroup
from tests.tables import ROOT
from tests.virtual_environments import VirtualEnvironment, build_wheel, shared_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from benchmarks.processes import ServerProcess
    from tests.processes import RunningServer

TIMEOUT = 100


@dataclass(frozen=True)
class FinishedRun:
    """The result of a Locust run: its exit code, standard output and log."""

    code: int
    out: str
    log: str

    def ended_with(self, code: int) -> bool:
        """Return whether the run ended with this code, or with another one only because this machine was too slow.

        On a slow machine a run may be invalid only because of the generator's lag or CPU. Messages that could not be
        sent in time may then be its only failures.
        """
        if self.code == 98 and self.invalid:
            return code == 98 or all(re.match(r"(worker \d+: )?(CPU|send lag|loop lag): ", why) for why in self.invalid)
        return self.code == code or (code == 0 and self.code == 1 and self._skipped and not self.failed())

    @property
    def summary(self) -> str:
        """The summary of the last run: in the web UI, each run has one."""
        return self.out.rpartition("Chat load test\n")[2]

    @property
    def invalid(self) -> list[str]:
        """The reasons in the summary why the run was invalid."""
        return re.findall(r"^  INVALID     (.+)", self.summary, re.MULTILINE)

    @property
    def _skipped(self) -> bool:
        """Whether messages were skipped because they could not be sent in time."""
        return bool(re.search(r"skipped: (queue full|queued too long|still queued|too late)", self.log))

    def failed(self) -> list[str]:
        """Return the names of failed requests, except messages that this slow machine skipped."""
        forgiven = "send" if self._skipped else ""
        return [name for name, (_, failures) in self.requests().items() if failures and name != forgiven]

    def ledger(self) -> dict[str, int]:
        """Return the counts of the ledger in the summary, by their names."""
        line = next(line for line in self.summary.splitlines() if line.startswith("  deliveries"))
        counts = {word: int(number) for number, word in re.findall(r"(\d+) (\w+)", line)}
        offered = next(line for line in self.summary.splitlines() if line.startswith("  offered"))
        counts["sent"] = int(re.findall(r"(\d+) sent", offered)[0])
        return counts

    def order(self) -> dict[str, int]:
        """Return the counts of compared orders in the summary, by their names; empty if nothing was compared."""
        line = next(line for line in self.summary.splitlines() if line.startswith("  order"))
        return {word: int(number) for number, word in re.findall(r"(\d+) (?:members )?(\w+)", line)}

    def requests(self, method: str = "WS") -> dict[str, tuple[int, int]]:
        """Return the number of requests and failures by name, from Locust's own table."""
        rows = re.findall(rf"^{method} +(\S.*?) +(\d+) +(\d+)\(", self.log, re.MULTILINE)
        return {name: (int(count), int(failures)) for name, count, failures in rows}

    def own_requests(self) -> dict[str, tuple[int, int]]:
        """Return the number of requests and failures by name, from the summary's lines about own names."""
        rows = re.findall(r"^  (?:requests)? +(\S.*?) +(\d+) requests, (\d+) failed  p50 ", self.summary, re.MULTILINE)
        return {name: (int(count), int(failures)) for name, count, failures in rows}


def with_master_port(args: tuple[str, ...]) -> tuple[str, ...]:
    """Add a free port for the workers, if there are any: tests run side by side."""
    if "--processes" not in args or "--master-port" in args:
        return args
    port = str(free_port())
    return (*args, "--master-bind-port", port, "--master-port", port)


class Locust:
    """A running `locust -f loadtest` in its own process group, so that remaining processes can be found.

    Args:
        args: of Locust.
        through: a command prefix that runs it.

    Attributes:
        timeout: seconds after which an expected event counts as missing.
    """

    def __init__(self, *args: str, through: Sequence[str] = ()) -> None:
        self.timeout = TIMEOUT
        self.process = preloaded.popen(
            [*through, sys.executable, "-m", "locust", "-f", "loadtest", *with_master_port(args)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def wait(self, *, traceback: bool = False) -> FinishedRun:
        """Wait for the end of the run; assert that no process remains and that no unexpected traceback was logged."""
        out, log = self.process.communicate(timeout=self.timeout)
        assert traceback == ("Traceback" in log), log
        deadline = time.monotonic() + self.timeout
        while self._has_processes():  # a worker may have closed its pipes and not exited yet
            assert time.monotonic() < deadline, "a process has not exited"
            time.sleep(0.05)
        return FinishedRun(self.process.returncode, out, log)

    def stop_once(self, condition: Callable[[], bool], *, traceback: bool = False) -> FinishedRun:
        """Send SIGTERM to the first process as soon as a condition holds; wait for the end."""
        deadline = time.monotonic() + self.timeout
        while not condition() and self.process.poll() is None:
            assert time.monotonic() < deadline, "timed out waiting for the condition"
            time.sleep(0.05)
        self.process.send_signal(signal.SIGTERM)
        return self.wait(traceback=traceback)

    def _has_processes(self) -> bool:
        try:
            os.killpg(self.process.pid, 0)
        except ProcessLookupError:
            return False
        return True

    def interrupt(self) -> None:
        """Send SIGINT to the whole group, as Ctrl-C in a terminal does."""
        os.killpg(self.process.pid, signal.SIGINT)

    def kill(self) -> None:
        """Kill all processes of the run."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return
        self.process.communicate()


@pytest.fixture
def locust() -> Iterator[Callable[..., Locust]]:
    """Start Locust with arguments."""
    running: list[Locust] = []

    def start(*args: str, through: Sequence[str] = ()) -> Locust:
        running.append(Locust(*args, through=through))
        return running[-1]

    yield start
    for process in running:
        process.kill()


def has_delivered(server: RunningServer, number: int, *, joins: int = 0) -> Callable[[], bool]:
    """Return a function that tells whether a server has delivered that many messages and had that many joins."""

    def check() -> bool:
        samples = server.samples()
        delivered = samples['chat_messages_delivered_total{type="chatMessage"}']
        return delivered >= number and samples["chat_room_joins_total"] >= joins

    return check


class WebLocust:
    """A running Locust with its web page, controlled over HTTP as a capacity run does."""

    def __init__(self, locust: Locust, port: int) -> None:
        self.locust = locust
        self._url = f"http://127.0.0.1:{port}"

    def get(self, path: str) -> bytes:
        with urllib.request.urlopen(self._url + path, timeout=self.locust.timeout) as answer:  # noqa: S310 - loopback
            return bytes(answer.read())

    def post(self, path: str, **form: object) -> bytes:
        data = urllib.parse.urlencode(form, doseq=True).encode()
        with urllib.request.urlopen(self._url + path, data, timeout=self.locust.timeout) as answer:  # noqa: S310 - loopback
            assert answer.status == 200
            return bytes(answer.read())

    def start_test(self, users: int) -> None:
        """Start a test and wait until Locust's page would show it.

        The page takes the state from the statistics, which Locust repeats for some seconds. A page that is opened
        meanwhile shows the form for a new test, and stays there.
        """
        self.post("/swarm", user_count=users, spawn_rate=users)
        self.until(lambda _: json.loads(self.get("/stats/requests"))["state"] in {"spawning", "running"})

    def metrics(self, port: int) -> bytes:
        """Return the page of Prometheus metrics at `--prometheus-port`."""
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=self.locust.timeout) as answer:
            return bytes(answer.read())

    def snapshot(self) -> Any:
        return json.loads(self.get("/stampede/snapshot"))

    def until(self, condition: Callable[[Any], bool]) -> Any:
        """Return the first snapshot for which the condition holds."""
        deadline = time.monotonic() + self.locust.timeout
        while time.monotonic() < deadline:
            assert self.locust.process.poll() is None, self.locust.wait()
            try:
                snapshot = self.snapshot()
            except (urllib.error.URLError, ConnectionError):
                snapshot = None
            if snapshot is not None and condition(snapshot):
                return snapshot
            time.sleep(0.05)
        raise AssertionError(f"timed out; the latest snapshot: {snapshot}")


@pytest.fixture
def web_locust(locust: Callable[..., Locust]) -> Callable[..., WebLocust]:
    """Start Locust with its web page on a free port; wait until it responds and all `--processes` are connected.

    A worker that joined during a test would get additional rooms.
    """

    def start(*args: str) -> WebLocust:
        port = free_port()
        web = WebLocust(locust("--web-host", "127.0.0.1", "--web-port", str(port), *args), port)
        workers = int(args[args.index("--processes") + 1]) if "--processes" in args else 0
        web.until(lambda _: json.loads(web.get("/worker-count")) == {"worker_count": workers})
        return web

    return start


def storm_is_over(users: int, now: Any) -> bool:
    """Return whether the first storm included all users and all have resynced; workers report one by one."""
    storms = now["storms"]
    return bool(storms and storms[0]["over"] and storms[0]["users"] == now["ready"] == users)


def latency(summary: str, clock: str, quantile: str) -> float:
    """Return a percentile of a summary in milliseconds."""
    row = next(line for line in summary.splitlines() if clock in line)
    return float(re.findall(rf"{re.escape(quantile)} ([\d.]+) ms", row)[0])


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the wheel of the library, as `pip wheel .` builds it."""
    (built,) = shared_folder(tmp_path_factory, "wheel", lambda folder: build_wheel(ROOT, folder)).glob("*.whl")
    return built


@pytest.fixture(scope="session")
def wheel_venv(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> VirtualEnvironment:
    """Return a virtual environment with only the wheel and its dependencies."""

    def build(folder: Path) -> None:
        VirtualEnvironment.create(folder).install("--constraint", "constraints.txt", str(wheel))

    return VirtualEnvironment(shared_folder(tmp_path_factory, "wheel-venv", build))


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file with a key and its self-signed certificate; beside it, as `.crt`, the certificate alone."""
    made = tmp_path_factory.mktemp("tls") / "both.pem"
    subject = ("-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject]
    subprocess.run([*command, "-keyout", str(made), "-out", f"{made}.crt"], check=True, capture_output=True)
    made.write_text(made.read_text() + (made.parent / f"{made.name}.crt").read_text())
    return made


@pytest.fixture
def faults() -> list[Exception]:
    return []


@pytest.fixture
def reactor(faults: list[Exception]) -> Iterator[Reactor]:
    made = Reactor(Random(1), faults.append)
    yield made
    made.close()


@pytest.fixture
def group(server: RunningServer) -> Iterator[ClientGroup]:
    """Return a group of clients for the bundled server; it must end without an internal error."""
    yield from _group(server.url)


@pytest.fixture
def plain_group(plain_peer: ServerProcess) -> Iterator[ClientGroup]:
    """Return a group of clients for the plain Node server; it must end without an internal error."""
    yield from _group(plain_peer.url)


def _group(url: str) -> Iterator[ClientGroup]:
    made = ClientGroup(url)
    yield made
    made.reactor.close()
    assert made.faults == []
