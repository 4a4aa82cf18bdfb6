"""Commands storms and watches in all processes, and numbers them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from locust.runners import LocalRunner, MasterRunner

    from stampede.locust.agents.worker import WorkerAgent
    from stampede.measure.storm import Manner

STORM = "stampede_storm"
"""Type of the message with which the master commands a storm."""

WATCH = "stampede_watch"
"""Type of the message with which the master starts or ends a watch."""


class StormCommands:
    """The storms and watches of one test.

    Args:
        runner: of Locust; local or master.
        agent: of this process, if it runs users itself.

    Attributes:
        latest: number of the latest storm or watch; 0 before the first.
        is_watching: whether a watch is in progress.
    """

    __slots__ = ("_agent", "_requests", "_runner", "is_watching", "latest")

    def __init__(self, runner: LocalRunner | MasterRunner, agent: WorkerAgent | None) -> None:
        self._runner = runner
        self._agent = agent
        self._requests: dict[str, int] = {}
        self.latest = 0
        self.is_watching = False

    def storm(self, share: float, manner: Manner, request_id: str = "") -> int:
        """Drop a share of all users in all processes at the same moment.

        Args:
            share: of all users, 0 to 1.
            manner: how they drop.
            request_id: makes a repeated request harmless: it starts no second storm.

        Returns:
            The number of the storm.
        """
        number, is_new = self._number_of(request_id)
        if not is_new:
            return number
        if self._agent is not None:
            self._agent.storm(number, share, manner)
        else:
            self._runner.send_message(STORM, {"id": number, "share": share, "manner": manner.value})
        return number

    def _number_of(self, request_id: str) -> tuple[int, bool]:
        """Return the number of the storm that a request starts, and whether the request is new."""
        if request_id in self._requests:
            return self._requests[request_id], False
        self.latest += 1
        if request_id:
            self._requests[request_id] = self.latest
        return self.latest, True

    def start_watch(self, request_id: str = "") -> int:
        """Measure from now on, in all processes, the users whose connection the server closes or that fails.

        Args:
            request_id: makes a repeated request harmless.

        Returns:
            The number of the watch, which is reported as a storm.
        """
        number, is_new = self._number_of(request_id)
        if is_new:
            self.is_watching = True
            self._send_watch(number)
        return number

    def end_watch(self) -> None:
        """Count no further user as dropped by the server."""
        self.is_watching = False
        self._send_watch(None)

    def _send_watch(self, number: int | None) -> None:
        if self._agent is not None:
            self._agent.watch(number)
        else:
            self._runner.send_message(WATCH, {"id": number})
