"""Facts about a test that the summary tells besides its figures; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from locust import User

    from stampede.locust.settings import LoadTestSettings
    from stampede.measure.report import WorkerReport


class PeakUsers:
    """The most users that ran at once, from the reports of all processes.

    The users of a process that ends its test count until the others have ended it, too.

    Attributes:
        users: running users; None before the first report.
        timed: users whose deliveries are timed; None before the first report.
    """

    __slots__ = ("_ended", "_latest", "timed", "users")

    def __init__(self) -> None:
        self._latest: dict[str, tuple[int, int]] = {}
        self._ended: set[str] = set()
        self.users: int | None = None
        self.timed: int | None = None

    def add(self, report: WorkerReport, living: Collection[str]) -> None:
        """Count the users in a report.

        Args:
            report: of one process.
            living: ids of the processes that have users: those of a process that died start in others.
        """
        if report.id not in self._ended:
            self._latest[report.id] = (report.figures.users, report.figures.timed_users)
        if report.final:
            self._ended.add(report.id)
        counted = [counts for id_, counts in self._latest.items() if id_ in self._ended or id_ in living]
        self.users = max(self.users or 0, sum(users for users, _ in counted))
        self.timed = max(self.timed or 0, sum(timed for _, timed in counted))


def scenario_of(user_classes: Iterable[type[User]]) -> str:
    """Return the user classes and their weights, such as `ChattingUser=10,TypingUser=5`."""
    return ",".join(sorted(f"{user_class.__name__}={user_class.weight:g}" for user_class in user_classes))


def notes_on(
    settings: LoadTestSettings | None, user_classes: Iterable[type[User]], seconds: float | None, reset_at: float | None
) -> Iterator[str]:
    """Yield what a reader of the figures must know.

    Args:
        settings: of the test; None if there was none.
        user_classes: of the test.
        seconds: length of the test; None while it lasts.
        reset_at: when the statistics were last reset, in seconds since the test began; None if they were not.
    """
    if reset_at is not None:
        yield f"statistics were reset {reset_at:.0f} s after the start: all figures count from there"
    if settings is None or seconds is None or seconds >= settings.storm_period:
        return
    for user_class in user_classes:
        if getattr(user_class, "drops_periodically", False):
            yield (
                f"no storm: {user_class.__name__}s drop every {settings.storm_period:g} s (--storm-period), "
                f"the test took {seconds:.0f} s"
            )
