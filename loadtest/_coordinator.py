"""The process that answers for all: collects the reports, ends the run in order, judges it."""

from __future__ import annotations

import sys
import time
from time import monotonic_ns
from typing import TYPE_CHECKING, Any

import gevent

from loadtest._report import Totals, snapshot
from loadtest._summary import INVALID, problems_of, summary

if TYPE_CHECKING:
    from locust.env import Environment
    from locust.runners import LocalRunner, MasterRunner

    from loadtest._member import Member
    from loadtest._report import Report


class Coordinator:
    """Knows what all processes report about the current or last test.

    Args:
        environment: Locust's.
        runner: local or master.
        member: of this process, if it runs users itself.

    Attributes:
        run: number of the test; reports of another one are late and ignored.
    """

    def __init__(self, environment: Environment, runner: LocalRunner | MasterRunner, member: Member | None) -> None:
        self._environment = environment
        self._runner = runner
        self._member = member
        self._reports: dict[str, Report] = {}
        self._came: dict[str, float] = {}
        self.run = 0

    def begin(self) -> None:
        """Forget the last test."""
        self.run += 1
        self._reports.clear()
        self._came.clear()

    def take(self, report: Report) -> None:
        """Take a report, unless it is a late one of an earlier test."""
        if report.run == self.run:
            self._reports[report.id] = report
            self._came[report.id] = time.monotonic()

    def all_final(self, ids: set[str]) -> bool:
        """Return whether these processes have sent their last word."""
        return all(id_ in self._reports and self._reports[id_].final for id_ in ids)

    def totals(self) -> Totals:
        """Return all reports, added up."""
        if self._member is not None:
            report = self._member.report()
            return Totals([report] if report else [])
        return Totals(self._reports.values())

    def snapshot(self) -> dict[str, Any]:
        """Return the answer to `GET /stampede/snapshot`."""
        now = time.monotonic()
        ages = {id_: now - came for id_, came in self._came.items()}
        return snapshot(self.totals(), state=self._runner.state, now=monotonic_ns(), ages=ages)

    def conclude(self) -> None:
        """Print the summary and set the exit code of an invalid run."""
        totals = self.totals()
        if not totals.reports:
            return
        options = self._environment.parsed_options
        # With --json, stdout belongs to Locust's JSON.
        print("\n".join(summary(totals)), file=sys.stderr if options and options.json else sys.stdout, flush=True)
        if problems_of(totals):
            self._environment.process_exit_code = INVALID


def wait_until(condition: Any, seconds: float) -> bool:
    """Let other greenlets run until `condition()` or until the time is over; return whether it holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        gevent.sleep(0.02)
    return True
