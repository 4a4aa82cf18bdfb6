"""The load generator: Locust in its own processes, controlled over its web port."""

from __future__ import annotations

import json
import math
import sys
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from capacity.errors import ExitCode, RunError, UsageError
from capacity.http_client import HttpError, fetch
from capacity.measure.addresses import address_notes
from capacity.measure.client_window import parse_snapshot
from capacity.processes.process import free_port

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from capacity.processes.child_processes import ChildProcesses
    from capacity.processes.process import ChildProcess
    from stampede.measure.snapshot import Snapshot

RAMP_S: Final = 1.0
"""Time in which Locust starts or stops the requested users."""

UNCONFIRMED_NOTE: Final = (
    "the server does not confirm joins: users count as joined after --join-grace, and loss is a lower bound"
)

_START_TIMEOUT_S: Final = 30.0
_MIN_SPAWN_RATE: Final = 50
_ATTEMPTS: Final = 4


@dataclass(frozen=True, slots=True)
class GeneratorOptions:
    """The options of the load generator.

    Attributes:
        host: WebSocket URL of the server.
        locustfile: file or folder of the user classes.
        mix: weights by user class; empty for all classes of the file.
        arguments: further arguments of Locust.
        processes: number of worker processes; `cores`: the cores that they may use.
    """

    host: str
    locustfile: str
    mix: Mapping[str, int]
    arguments: Sequence[str]
    processes: int
    cores: Sequence[int]


class LoadGenerator:
    """A running Locust.

    Attributes:
        dialect: name of the dialect of its users, once a test has started.
    """

    __slots__ = ("_address", "_process", "_users", "dialect")

    def __init__(self, process: ChildProcess, address: str) -> None:
        self._process = process
        self._address = address
        self._users = 0
        self.dialect: str | None = None

    @classmethod
    def start(
        cls, options: GeneratorOptions, *, folder: Path, checkout: Path, children: ChildProcesses
    ) -> LoadGenerator:
        """Start Locust as one of `children`, with its log in `folder`. Call `wait_ready` before any other method."""
        port = free_port()
        command = [
            *(sys.executable, "-m", "locust", "-f", options.locustfile, "--host", options.host),
            *("--web-host", "127.0.0.1", "--web-port", str(port), "--loglevel", "WARNING"),
            *_process_arguments(options.processes),
            *options.arguments,
            *_user_class_arguments(options.mix),
        ]
        log = folder / "locust.log"
        process = children.start("the load generator", command, output=log, cwd=checkout, cores=options.cores)
        return cls(process, f"http://127.0.0.1:{port}")

    def wait_ready(self, processes: int) -> None:
        """Wait until Locust answers and all of its worker processes have connected.

        Raises:
            UsageError: Locust refused an option or the host.
            RunError: Locust exited, or did not become ready in time.
        """

        def ready() -> bool | None:
            try:
                fetch(f"{self._address}/stampede/snapshot")
                # Workers report figures only while a test runs; Locust's own table lists them from the start.
                workers = json.loads(fetch(f"{self._address}/stats/requests")).get("workers", [])
            except HttpError:
                return None
            return True if processes == 1 or len(workers) >= processes else None

        try:
            self._process.wait_until(ready, timeout_s=_START_TIMEOUT_S, what="become ready")
        except RunError as error:
            if error.child_exit == ExitCode.USAGE:
                raise UsageError(self._process.last_line().rpartition("error: ")[2]) from None
            raise

    def set_users(self, users: int) -> None:
        """Request this many users, to be reached within about `RAMP_S` seconds.

        Raises:
            RunError: Locust refused the request or has exited.
        """
        rate = max(_MIN_SPAWN_RATE, math.ceil(abs(users - self._users) / RAMP_S))
        form = {"user_count": str(users), "spawn_rate": str(rate)}
        answer = json.loads(self._request("/swarm", form))
        if not answer.get("success"):
            raise RunError(f"the load generator refused {users} users: {answer.get('message')}")
        self._users = users

    def storm(self, fraction: float) -> int:
        """Drop a fraction of all users at once; return the id of the storm.

        Raises:
            RunError: Locust refused the request or has exited.
        """
        # The id makes a repeated request idempotent: a lost response must not start a second storm.
        form = {"share": f"{fraction:g}", "request": uuid.uuid4().hex}
        return int(json.loads(self._request("/stampede/storm", form))["id"])

    def snapshot(self) -> Snapshot:
        """Read the current figures.

        Raises:
            RunError: Locust has exited, or its response is invalid.
        """
        found = parse_snapshot(self._request("/stampede/snapshot"))
        self.dialect = found.dialect or self.dialect
        return found

    def notes(self) -> list[str]:
        """Return notes on the server's addresses that were used, and on its joins; none if Locust has exited."""
        try:
            last = self.snapshot()
        except RunError:
            return []
        return [*address_notes(last.addresses), *([UNCONFIRMED_NOTE] if last.unconfirmed_joins else [])]

    def _request(self, path: str, form: dict[str, str] | None = None) -> bytes:
        """Send a request, and repeat it without a response: a Locust with too many users may be too busy."""
        for attempt in range(_ATTEMPTS):
            try:
                return fetch(f"{self._address}{path}", form)
            except HttpError as error:
                self._process.check_after_silence()
                if attempt == _ATTEMPTS - 1:
                    raise RunError(f"the load generator does not answer: {error}") from None
        raise AssertionError

    def check(self) -> None:
        """Raise RunError if Locust has exited."""
        self._process.check()


def _process_arguments(processes: int) -> list[str]:
    """Return Locust's arguments for several processes, with a loopback port for master and workers."""
    if processes == 1:
        return []
    port = str(free_port())
    master = ["--master-bind-host", "127.0.0.1", "--master-bind-port", port, "--master-port", port]
    return ["--processes", str(processes), *master]


def _user_class_arguments(mix: Mapping[str, int]) -> list[str]:
    """Return Locust's arguments for the user classes and their weights."""
    if len(mix) == 1:
        return list(mix)
    weights = [json.dumps({"user_class_name": name, "weight": weight}) for name, weight in mix.items()]
    return [*mix, "--config-users", *weights]
