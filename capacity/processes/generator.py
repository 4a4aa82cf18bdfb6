"""The load generator: Locust in a process of its own, told over its web port how many users to run."""

from __future__ import annotations

import json
import math
import sys
import uuid
from typing import TYPE_CHECKING, Final

from capacity.errors import ExitCode, RunError, UsageError
from capacity.http_client import HttpError, ask
from capacity.measure.addresses import loaded
from capacity.measure.instant import parse_snapshot
from capacity.processes.process import free_port

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from capacity.config.settings import Settings
    from capacity.processes.process import ChildProcess
    from capacity.processes.process_group import Children
    from stampede.measure.snapshot import Snapshot

_START_S: Final = 30.0
RAMP_S: Final = 1.0
_LEAST_SPAWN_RATE: Final = 50
_ATTEMPTS: Final = 4


class LoadGenerator:
    """Locust driven from outside: `set_users`, `storm`, `snapshot`."""

    __slots__ = ("_address", "_process", "_users")

    def __init__(self, process: ChildProcess, address: str) -> None:
        self._process = process
        self._address = address
        self._users = 0

    @classmethod
    def start(
        cls,
        settings: Settings,
        host: str,
        *,
        processes: int,
        cores: Sequence[int],
        folder: Path,
        checkout: Path,
        children: Children,
    ) -> LoadGenerator:
        """Start Locust against `host`, its log in `folder`; `wait_ready` tells when it takes orders.

        It is one of `children`, and ends with them.
        """
        port = free_port()
        command = [
            *(sys.executable, "-m", "locust", "-f", "loadtest", "--host", host),
            *("--web-host", "127.0.0.1", "--web-port", str(port), "--loglevel", "WARNING"),
            *_processes(processes),
            *settings.load_arguments(),
            *settings.header_arguments(),
            *_user_classes(settings.mix),
        ]
        output = folder / "locust.log"
        process = children.start("the load generator", command, output=output, cwd=checkout, cores=cores)
        return cls(process, f"http://127.0.0.1:{port}")

    def wait_ready(self, processes: int) -> None:
        """Wait until it answers and all of its worker processes have come.

        Raises:
            UsageError: it refused an option that was passed through, or the host.
            RunError: it ended, or did not come up in time.
        """

        def ready() -> bool | None:
            try:
                ask(f"{self._address}/stampede/snapshot")
                # Workers report figures only once a test runs; Locust's own table knows them from the start.
                workers = json.loads(ask(f"{self._address}/stats/requests")).get("workers", [])
            except HttpError:
                return None
            return True if processes == 1 or len(workers) >= processes else None

        try:
            self._process.wait_until(ready, timeout_s=_START_S, what="take orders")
        except RunError as error:
            if error.child_exit == ExitCode.USAGE:
                raise UsageError(self._process.last_line().rpartition("error: ")[2]) from None
            raise

    def set_users(self, users: int) -> None:
        """Ask for this many users, reached within about `RAMP_S` seconds.

        Raises:
            RunError: Locust refused or is gone.
        """
        rate = max(_LEAST_SPAWN_RATE, math.ceil(abs(users - self._users) / RAMP_S))
        form = {"user_count": str(users), "spawn_rate": str(rate)}
        answer = json.loads(self._ask("/swarm", form))
        if not answer.get("success"):
            raise RunError(f"the load generator refused {users} users: {answer.get('message')}")
        self._users = users

    def storm(self, share: float) -> int:
        """Drop a share of all users at once; return the number of the storm.

        Raises:
            RunError: Locust refused or is gone.
        """
        # A request whose answer came too late is sent again: its name keeps it from being a second storm.
        form = {"share": f"{share:g}", "request": uuid.uuid4().hex}
        return int(json.loads(self._ask("/stampede/storm", form))["id"])

    def snapshot(self) -> Snapshot:
        """Read its figures.

        Raises:
            RunError: it is gone, or its answer cannot be read.
        """
        return parse_snapshot(self._ask("/stampede/snapshot"))

    def address_notes(self) -> list[str]:
        """Return which of the server's addresses were loaded, if it has several; nothing when Locust is gone."""
        try:
            return loaded(self.snapshot().addresses)
        except RunError:
            return []

    def _ask(self, path: str, form: dict[str, str] | None = None, attempts: int = _ATTEMPTS) -> bytes:
        """Ask again where no answer comes: more users than it can serve may keep it busy; one that ended is told."""
        try:
            return ask(f"{self._address}{path}", form)
        except HttpError as error:
            self._process.check_soon()
            if attempts > 1:
                return self._ask(path, form, attempts - 1)
            raise RunError(f"the load generator does not answer: {error}") from None

    def check(self) -> None:
        """Raise RunError when Locust has ended by itself."""
        self._process.check()


def _processes(processes: int) -> list[str]:
    """Return Locust's arguments for several processes, which meet on a loopback port of their own."""
    if processes == 1:
        return []
    port = str(free_port())
    meeting = ["--master-bind-host", "127.0.0.1", "--master-bind-port", port, "--master-port", port]
    return ["--processes", str(processes), *meeting]


def _user_classes(mix: dict[str, int]) -> list[str]:
    """Return Locust's arguments that choose the classes and their weights."""
    if len(mix) == 1:
        return list(mix)
    weights = [json.dumps({"user_class_name": name, "weight": weight}) for name, weight in mix.items()]
    return [*mix, "--config-users", *weights]
