"""The load generator: Locust in its own processes, controlled over its web port."""

from __future__ import annotations

import json
import math
import platform
import sys
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from capacity.errors import ExitCode, RunError, UsageError
from capacity.http_client import TIMEOUT_S, HttpError, fetch
from capacity.measure.addresses import address_notes
from capacity.measure.client_window import parse_snapshot
from capacity.measure.workers import parse_connections
from capacity.processes.process import free_port
from capacity.processes.start_failure import explain_start_failure
from capacity.processes.worker_watch import WorkerWatch
from capacity.record.worker import WorkerRecord
from stampede.measure.snapshot import WorkerState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from capacity.measure.workers import Connection
    from capacity.processes.child_processes import ChildProcesses
    from capacity.processes.process import ChildProcess
    from capacity.processes.remote_workers import RemoteWorkers
    from stampede.measure.snapshot import Snapshot

RAMP_S: Final = 1.0
"""Time in which Locust starts or stops the requested users."""

UNCONFIRMED_NOTE: Final = (
    "the server does not confirm joins: users count as joined after --join-grace, and loss is a lower bound"
)

_START_TIMEOUT_S: Final = 30.0
_CHECK_TIMEOUT_S: Final = 180.0
_REFUSAL_S: Final = 5.0
_MIN_SPAWN_RATE: Final = 50
_ATTEMPTS: Final = 4
_STOP_TIMEOUT_S: Final = 90.0
_LOCAL_WORKERS_TIMEOUT_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class GeneratorOptions:
    """The options of the load generator.

    Attributes:
        host: WebSocket URL of the server.
        locustfile: file or folder of the user classes.
        mix: weights by user class; empty for all classes of the file.
        environment: of Locust; the options of the load test are among its variables.
        processes: number of worker processes; `cores`: the cores that they may use.
        remote: workers on other machines; None for processes of this one.
    """

    host: str
    locustfile: str
    mix: Mapping[str, int]
    environment: Mapping[str, str]
    processes: int
    cores: Sequence[int]
    remote: RemoteWorkers | None = None


class LoadGenerator:
    """A running Locust.

    Attributes:
        dialect: name of the dialect of its users, once a test has started.
    """

    __slots__ = (
        "_address",
        "_first_request_s",
        "_has_joined",
        "_locustfile",
        "_process",
        "_users",
        "_watch",
        "dialect",
    )

    def __init__(self, process: ChildProcess, address: str, locustfile: str, watch: WorkerWatch | None = None) -> None:
        """Control a Locust at an address that runs a locustfile; `watch` follows its workers if it has any."""
        self._process = process
        self._address = address
        self._locustfile = locustfile
        self._users = 0
        self._watch = watch
        self._first_request_s: float | None = None  # when users were requested first
        self._has_joined = False  # whether any user has joined a room so far
        self.dialect: str | None = None

    @classmethod
    def start(
        cls, options: GeneratorOptions, *, folder: Path, children: ChildProcesses, progress: Callable[[str], None]
    ) -> LoadGenerator:
        """Start Locust as one of `children`, with its log in `folder`. Call `wait_started` before any other method.

        The address of the server and the options may contain secrets, so they are not on the command line. Locust runs
        in the current directory, to which the names of files in the options are relative.

        `progress` receives messages while workers connect.
        """
        port = free_port()
        remote = options.remote
        command = [
            *(sys.executable, "-m", "locust", "-f", options.locustfile),
            *("--web-host", "127.0.0.1", "--web-port", str(port), "--loglevel", "WARNING"),
            *(remote.arguments() if remote is not None else _process_arguments(options.processes)),
            *_user_class_arguments(options.mix),
        ]
        process = children.start(
            "the load generator",
            command,
            output=folder / "locust.log",
            cwd=Path.cwd(),
            cores=options.cores,
            environment={**options.environment, "LOCUST_HOST": options.host},
        )
        watch = None
        if remote is not None:
            watch = WorkerWatch(remote.expected, remote.timeout_s, "--worker-timeout", progress)
        elif options.processes > 1:
            watch = WorkerWatch(options.processes, _LOCAL_WORKERS_TIMEOUT_S, "", progress)
        return cls(process, f"http://127.0.0.1:{port}", options.locustfile, watch)

    def wait_started(self) -> None:
        """Wait until Locust answers.

        Raises:
            UsageError: the locustfile or an option is unusable.
            RunError: Locust was ended, or does not answer in time.
        """

        def answers() -> bool | None:
            try:
                fetch(f"{self._address}/stampede/snapshot")
            except HttpError:
                return None
            return True

        try:
            self._process.wait_until(answers, timeout_s=_START_TIMEOUT_S, what="start")
        except RunError as error:
            if error.child_exit is None or error.child_exit < 0:  # no exit, or by a signal
                raise
            output, is_usage = self._process.output(), error.child_exit == ExitCode.USAGE
            raise UsageError(explain_start_failure(output, self._locustfile, is_usage=is_usage)) from None

    def check_server(self) -> None:
        """Let Locust check the server, with the options and the dialect of its users.

        Raises:
            UsageError: the server cannot be reached, or does not implement the dialect.
            RunError: Locust has exited, or does not answer in time.
        """
        try:
            answer = json.loads(fetch(f"{self._address}/stampede/check", {}, timeout_s=_CHECK_TIMEOUT_S))
        except HttpError as error:
            self._process.check_after_silence()
            raise RunError(f"the load generator did not check the server: {error}") from None
        if answer["problem"] is not None:
            raise UsageError(answer["problem"])

    def wait_ready(self) -> None:
        """Wait until all workers of Locust have connected.

        Raises:
            RunError: Locust exited, or did not become ready in time.
        """
        if self._watch is not None:
            self._watch.wait_for_all(self._connections)

    def restore_workers(self) -> bool:
        """Stop the users and wait until all workers are connected, if the test has lost one; return whether it had.

        Raises:
            RunError: a worker did not come back in time.
        """
        if self._watch is None or not self._watch.has_lost:
            return False
        self._request("/stop", {}, timeout_s=_STOP_TIMEOUT_S)
        self._users = 0
        self._watch.wait_for_all(self._connections)
        return True

    def _connections(self) -> list[Connection]:
        """Return the workers that Locust lists: they report figures only while a test runs."""
        self._process.check()
        return parse_connections(self._request("/stats/requests"))

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
        self._first_request_s = self._first_request_s or time.monotonic()
        if self._watch is not None:
            self._watch.start()

    def storm(self, fraction: float) -> int:
        """Drop a fraction of all users at once; return the id of the storm.

        Raises:
            RunError: Locust refused the request or has exited.
        """
        # The id makes a repeated request idempotent: a lost response must not start a second storm.
        form = {"share": f"{fraction:g}", "request": uuid.uuid4().hex}
        return int(json.loads(self._request("/stampede/storm", form))["id"])

    def start_watch(self) -> int:
        """Measure from now on the users whose connection the server closes or that fails; return the id.

        Raises:
            RunError: Locust refused the request or has exited.
        """
        return int(json.loads(self._request("/stampede/watch", {"request": uuid.uuid4().hex}))["id"])

    def end_watch(self) -> None:
        """Count no further user as dropped by the server.

        Raises:
            RunError: Locust has exited.
        """
        self._request("/stampede/watch/end", {})

    def snapshot(self) -> Snapshot:
        """Read the current figures.

        Raises:
            UsageError: the server has refused all users from the start.
            LostWorkerError: a worker has left the running test, or joined it.
            RunError: Locust has exited, or its response is invalid.
        """
        found = self._read_snapshot()
        if self._watch is not None:
            self._watch.check(found)
        return found

    def _read_snapshot(self) -> Snapshot:
        found = parse_snapshot(self._request("/stampede/snapshot"))
        self.dialect = found.dialect or self.dialect
        self._check_joins(found)
        return found

    def _check_joins(self, found: Snapshot) -> None:
        """Raise UsageError if no user has joined a room in time, but requests failed: later steps would be invalid."""
        self._has_joined = self._has_joined or found.ready > 0
        if self._has_joined or self._first_request_s is None or not found.chat_users:
            return
        if time.monotonic() - self._first_request_s > _REFUSAL_S and (refusal := first_refusal(found)):
            raise UsageError(f"no user could join: {refusal}")

    def workers(self) -> list[WorkerRecord]:
        """Return the processes that run users, as they were seen last."""
        if self._watch is not None:
            return self._watch.records()
        return [WorkerRecord(name="load generator", host=platform.node(), state=WorkerState.CONNECTED)]

    def notes(self) -> list[str]:
        """Return notes on the server's addresses that were used, and on its joins; none if Locust has exited."""
        try:
            last = self._read_snapshot()
        except RunError:
            return []
        notes = [] if self._watch is None else self._watch.notes()
        return [*notes, *address_notes(last.addresses), *([UNCONFIRMED_NOTE] if last.unconfirmed_joins else [])]

    def _request(self, path: str, form: dict[str, str] | None = None, timeout_s: float = TIMEOUT_S) -> bytes:
        """Send a request, and repeat it without a response: a Locust with too many users may be too busy."""
        for attempt in range(_ATTEMPTS):
            try:
                return fetch(f"{self._address}{path}", form, timeout_s=timeout_s)
            except HttpError as error:
                self._process.check_after_silence()
                if attempt == _ATTEMPTS - 1:
                    raise RunError(f"the load generator does not answer: {error}") from None
        raise AssertionError

    def check(self) -> None:
        """Raise RunError if Locust has exited."""
        self._process.check()


def first_refusal(snapshot: Snapshot) -> str | None:
    """Return the request that failed most often without a success, and why; None if there is none."""
    failed = {name: row for name, row in snapshot.requests.items() if row.failures and not row.successes}
    if not failed:
        return None
    name, row = max(failed.items(), key=lambda item: item[1].failures)
    reason = max(row.reasons, key=row.reasons.__getitem__, default="unknown reason")
    return f"{name} failed: {reason}"


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
