"""The report of one process, and the sum of the reports of all processes; pure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from stampede.generator_faults import Fault, merge_faults
from stampede.measure.figures import FIELDS, GAUGES, Figures, merge_figures
from stampede.measure.measures import Measures
from stampede.measure.serialization import from_builtins, to_builtins
from stampede.measure.storm import StormPart  # noqa: TC001 # decoded at run time
from stampede.websocket.addresses import AddressUse, merge_uses

if TYPE_CHECKING:
    from collections.abc import Iterable

UNASSIGNED: Final = -1
"""Run number in the report of a process that never received the number of the run."""


@dataclass(slots=True, kw_only=True)
class WorkerReport:
    """The report of one process, cumulative since the test began.

    Attributes:
        run: number of the test.
        id: Locust's id of the worker; `index` is its number in this test.
        final: whether this is the last report.
        cpu_seconds: CPU time of the process; `cpu_share` is its mean use of one core since the test began.
        figures: the counts and durations of its users.
        storms: the process's parts of the latest storms on command.
        lacking: optional answers that the server does not send.
        keeps_order: whether the dialect promises that all members of a room receive its messages in the same order.
        problems: why the process makes the run invalid.
        causes: the causes of the problems and their remedies; each once.
        faults: limits and errors of the generator's own machine, which make the run invalid, too.
        addresses: the server's addresses, and how often each was used.
        joined_before: users that joined before the figures begin, see `since`.
        host: name of the machine that the process runs on; empty if it does not report it.
        failure: why its users cannot run, such as a file that is missing on its machine; empty if they can.
    """

    run: int
    id: str
    index: int
    pid: int
    final: bool
    cpu_seconds: float
    cpu_share: float
    rss_bytes: int
    figures: Figures
    storms: list[StormPart] = field(default_factory=list)
    lacking: list[str] = field(default_factory=list)
    keeps_order: bool = True
    problems: list[str] = field(default_factory=list)
    causes: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    addresses: list[AddressUse] = field(default_factory=list)
    joined_before: int = 0
    host: str = ""
    failure: str = ""

    def since(self, earlier: WorkerReport) -> WorkerReport:
        """Return the report with the figures counted after an earlier report of the same test.

        Deliveries that were in flight at the earlier report count with the later ones, so that the ledger adds up.
        """
        return replace(
            self,
            figures=self.figures.since(earlier.figures.without_in_flight()),
            joined_before=earlier.figures.joins,
        )

    def with_counts_of(self, final: WorkerReport) -> WorkerReport:
        """Return the report with the counts of a final one.

        Its gauges keep their present values, and so do its requests: those of other clients still grow.
        """
        counts = {name: getattr(final.figures, name) for name in FIELDS if name not in {*GAUGES, "requests"}}
        return replace(self, figures=replace(self.figures, **counts))

    def to_message(self) -> Any:
        """Return the report as JSON values, for a message to the master."""
        return to_builtins(self)

    @classmethod
    def from_message(cls, message: Any) -> WorkerReport:
        """Return the report in a message.

        Raises:
            msgspec.ValidationError: it is not a report.
        """
        return from_builtins(message, cls)


class Totals:
    """The reports of all processes, added up.

    Args:
        reports: of the living processes.
        dead: last reports of processes that died. They are not part of the sum.

    Attributes:
        figures: the sum of the reports.
    """

    __slots__ = ("dead", "figures", "reports")

    def __init__(self, reports: Iterable[WorkerReport], dead: Iterable[WorkerReport] = ()) -> None:
        self.reports = sorted(reports, key=lambda report: report.index)
        self.dead = sorted(dead, key=lambda report: report.index)
        # Before the first report, the figures of an idle process: they have every row and every cause.
        figures = [report.figures for report in self.reports] or [Measures().figures()]
        self.figures = merge_figures(figures)

    @property
    def addresses(self) -> list[AddressUse]:
        """The server's addresses, and how often all processes used each."""
        return merge_uses(use for report in self.reports for use in report.addresses)

    @property
    def faults(self) -> list[Fault]:
        """The faults of all processes, including the dead ones; each kind and detail once."""
        return merge_faults(fault for report in (*self.reports, *self.dead) for fault in report.faults)

    @property
    def lacking(self) -> list[str]:
        """Optional answers that the server does not send."""
        return sorted({answer for report in self.reports for answer in report.lacking})

    @property
    def keeps_order(self) -> bool:
        """Whether the dialect promises that all members of a room receive its messages in the same order."""
        return all(report.keeps_order for report in self.reports)

    @property
    def joined_before(self) -> int:
        """Users that joined before the figures begin."""
        return sum(report.joined_before for report in self.reports)
