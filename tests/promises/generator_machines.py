"""Capacity runs whose load generator is on hosts of its own.

Each scenario runs in namespaces of its own, and writes what happened to `outcome.json` in its folder.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import msgspec
import psutil

from benchmarks.http_client import urlopen
from tests.promises.hosts import Host, Switch, inside
from tests.tables import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

GENERATORS: Final = ("host-a", "host-b", "host-c")

_CONTROL, _SERVER = "control", "server"
_PORT: Final = 8080
_END_SECONDS: Final = 60.0
# Only noise could miss these; nothing depends on the load.
_TOLERANT: Final = (
    *("--room-size", "4", "--message-rate", "5", "--window", "1", "--settle", "1"),
    *("--slo", "deliver_p99<60s", "--runs", ""),
)


class Outcome(msgspec.Struct):
    """What happened in a scenario.

    Attributes:
        code: exit code of the capacity run; `output`: its lines, of stdout and stderr.
        left: command lines of the processes that were left on the hosts.
        workers: exit codes of the workers that were not killed.
        summary: what the load generator printed at its end.
        counted: messages that the server received and delivered, if it is a process of its own.
    """

    code: int
    output: list[str]
    left: list[str]
    workers: list[int]
    summary: str = ""
    counted: tuple[int, int] | None = None


class Machines:
    """A host for the capacity run, one for a server, and hosts of the load generator. Leaving the context ends all."""

    def __init__(self, folder: Path, generators: Sequence[str]) -> None:
        self.folder = folder
        self._stack = ExitStack()
        switch = Switch(0)
        names = (_CONTROL, _SERVER, *generators)
        self._hosts = {name: self._stack.enter_context(Host(switch, name=name)) for name in names}
        self._workers: dict[str, subprocess.Popen[bytes]] = {}
        self._capacity: subprocess.Popen[str] | None = None
        self._output: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stack.close()

    def address(self, name: str) -> str:
        """Return a host's address."""
        return self._hosts[name].addresses[0]

    def start_server(self) -> str:
        """Start a chat server; return its URL once it answers."""
        flags = ("--host", self.address(_SERVER), "--port", str(_PORT), "--upload-dir", str(self.folder / "uploads"))
        command = self._hosts[_SERVER].command(sys.executable, "-m", "server", *flags, "--log-level", "warning")
        server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
        self._stack.callback(_end, server)
        deadline = time.monotonic() + _END_SECONDS
        while True:
            with suppress(OSError), urlopen(f"http://{self.address(_SERVER)}:{_PORT}/health", timeout=2):
                return f"ws://{self.address(_SERVER)}:{_PORT}"
            assert time.monotonic() < deadline, "the server does not answer"
            time.sleep(0.05)

    def start_capacity(self, *flags: str) -> None:
        """Start the capacity run, which expects one worker on each host of the load generator."""
        own = ("--report", str(self.folder / "report"), "--expect-workers", str(len(self._hosts) - 2))
        command = self._hosts[_CONTROL].command(sys.executable, "-m", "capacity", *own, *_TOLERANT, *flags)
        self._capacity = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env=os.environ | {"TMPDIR": str(self.folder)},
        )  # fmt: skip

    @property
    def capacity(self) -> subprocess.Popen[str]:
        """The capacity run."""
        assert self._capacity is not None
        return self._capacity

    def start_worker(self, name: str) -> None:
        """Start a worker in an empty folder: its user classes come from the master."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        command = (sys.executable, "-m", "locust", "-f", "-", "--worker", "--master-host", self.address(_CONTROL))
        with (folder / "log").open("ab") as log:
            worker = subprocess.Popen(self._hosts[name].command(*command), cwd=folder, stdout=log, stderr=log)
        self._workers[name] = worker

    def signal_worker(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a worker."""
        self._workers[name].send_signal(number)
        if number is signal.SIGKILL:
            self._workers.pop(name).wait()

    def await_line(self, *texts: str) -> None:
        """Read the output of the capacity run up to a line that contains all of the texts."""
        assert self.capacity.stdout is not None
        for line in self.capacity.stdout:
            self._output.append(line.rstrip())
            if all(text in line for text in texts):
                return
        raise AssertionError(f"the run ended before {texts}: {self._output}")

    def keep_log(self) -> Path:
        """Give the load generator's log a second name, which the end of the run does not delete."""
        (log,) = self.folder.glob("stampede-*/locust.log")
        kept = self.folder / "locust.log"
        os.link(log, kept)
        return kept

    def counted(self) -> tuple[int, int]:
        """Return the numbers of chat messages that the server has received and delivered."""
        with urlopen(f"http://{self.address(_SERVER)}:{_PORT}/metrics", timeout=10) as answer:
            page = answer.read().decode()
        received, delivered = (
            re.search(rf'^chat_messages_{what}_total{{type="chatMessage"}} (\S+)', page, re.MULTILINE)
            for what in ("received", "delivered")
        )
        assert received is not None
        assert delivered is not None
        return int(float(received[1])), int(float(delivered[1]))

    def wait(self) -> Outcome:
        """Wait until the capacity run and all of its workers have ended."""
        rest, _ = self.capacity.communicate(timeout=_END_SECONDS * 2)
        self._output += rest.splitlines()
        workers = [worker.wait(_END_SECONDS) for worker in self._workers.values()]
        servers = {child.pid for child in psutil.Process().children() if "server" in child.cmdline()}
        left = [one for one in psutil.process_iter() if one.pid not in {os.getpid(), *servers}]
        names = [" ".join(one.cmdline()) for one in left if one.status() != psutil.STATUS_ZOMBIE]
        return Outcome(self.capacity.returncode, self._output, [one for one in names if "sleep" not in one], workers)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait()


# --- scenarios ---


def recovery(folder: Path) -> Outcome:
    """One worker is killed and started again, and another one is paused and resumed."""
    with Machines(folder, GENERATORS) as machines:
        machines.start_capacity("--steps", "12,18,24")
        for name in GENERATORS:
            machines.start_worker(name)
        machines.await_line("12 users  given ", " pass ")
        machines.signal_worker("host-b", signal.SIGKILL)
        machines.await_line("18 users  given ", " invalid ", "host-b ended")
        machines.await_line("waiting for load generator workers: 2 of 3")
        machines.start_worker("host-b")
        machines.await_line("18 users  given ", " pass ")
        machines.signal_worker("host-c", signal.SIGSTOP)
        machines.await_line("24 users  given ", " invalid ", "host-c last reported")
        machines.await_line("waiting for load generator workers: 2 of 3")
        machines.signal_worker("host-c", signal.SIGCONT)
        return machines.wait()


def counts(folder: Path) -> Outcome:
    """Two hosts load a server on a third one, undisturbed."""
    with Machines(folder, GENERATORS[:2]) as machines:
        machines.start_capacity("--host", machines.start_server(), "--bounded", "16")
        for name in GENERATORS[:2]:
            machines.start_worker(name)
        machines.await_line("waiting for load generator workers")
        log = machines.keep_log()
        outcome = machines.wait()
        outcome.summary, outcome.counted = log.read_text(), machines.counted()
        return outcome


def interrupted(folder: Path) -> Outcome:
    """Ctrl-C arrives in the middle of a run."""
    with Machines(folder, GENERATORS[:2]) as machines:
        machines.start_capacity("--steps", ",".join(["8"] * 50))
        for name in GENERATORS[:2]:
            machines.start_worker(name)
        machines.await_line("8 users  given ")
        machines.capacity.send_signal(signal.SIGINT)
        return machines.wait()


def absent(folder: Path) -> Outcome:
    """One of two workers never comes."""
    with Machines(folder, GENERATORS[:2]) as machines:
        machines.start_capacity("--bounded", "8", "--worker-timeout", "6")
        machines.start_worker("host-a")
        return machines.wait()


def lost(folder: Path) -> Outcome:
    """A worker is killed and never comes back."""
    with Machines(folder, GENERATORS[:2]) as machines:
        machines.start_capacity("--steps", ",".join(["8"] * 50), "--worker-timeout", "12")
        for name in GENERATORS[:2]:
            machines.start_worker(name)
        machines.await_line("8 users  given ")
        machines.signal_worker("host-b", signal.SIGKILL)
        return machines.wait()


SCENARIOS: Final[dict[str, Callable[[Path], Outcome]]] = {
    one.__name__: one for one in (recovery, counts, interrupted, absent, lost)
}


def run_scenario(name: str, folder: Path) -> Outcome:
    """Run a scenario in namespaces of its own."""
    command = inside(sys.executable, "-m", "tests.promises.generator_machines", name, str(folder))
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return msgspec.json.decode((folder / "outcome.json").read_bytes(), type=Outcome)


if __name__ == "__main__":
    to = Path(sys.argv[2])
    (to / "outcome.json").write_bytes(msgspec.json.encode(SCENARIOS[sys.argv[1]](to)))
