"""Show the progress of a run on its live page too."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Self

from capacity.formatting import count, format_ms
from capacity.measure.client_window import quantile_ms
from capacity.web.messages import Progress

if TYPE_CHECKING:
    from collections.abc import Callable

    from capacity.cli.display import Display
    from capacity.measure.client_window import ClientWindow
    from capacity.measure.server_window import ServerWindow
    from capacity.record.report import RunReport
    from capacity.record.step import StepRecord
    from capacity.record.storm import StormRecord
    from capacity.web.live_page import LivePage

_FIGURES_S: Final = 0.9
"""The figures come up to four times a second while users join: too often to read."""


class WatchedDisplay:
    """Passes the progress of a run to its display, and to its live page."""

    def __init__(
        self,
        display: Display,
        page: LivePage,
        report: Callable[[], Callable[[], RunReport]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Create a display.

        Args:
            display: the display.
            page: the live page.
            report: returns what makes the report of the measurements so far, as data for the process of the page.
            clock: monotonic clock in seconds.
        """
        self._display = display
        self._page = page
        self._report = report
        self._clock = clock
        self._progress = Progress("starting")
        self._steps = 0
        self._users = 0  # of the current step
        self._figures_at = -math.inf

    def __enter__(self) -> Self:
        self._display.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self._display.__exit__(*exc)
        self._show(Progress("writing the report"))

    def message(self, text: str) -> None:
        """Show a message."""
        self._display.message(text)
        self._show(Progress(text, budget_ends=self._progress.budget_ends))

    def notice(self, text: str) -> None:
        """Show a message that stays on the terminal."""
        self._display.notice(text)

    def step(self, users: int, purpose: str, remaining_s: float) -> None:
        """Show a new step."""
        self._display.step(users, purpose, remaining_s)
        self._steps, self._users = self._steps + 1, users
        ends = self._clock() + remaining_s
        self._show(Progress(f"step {self._steps}: {count(users)} users ({purpose})", budget_ends=ends))

    def phase(self, name: str, seconds: float) -> None:
        """Show a new phase of the step."""
        self._display.phase(name, seconds)
        self._show(replace(self._progress, phase=name, phase_ends=self._clock() + seconds if seconds else None))

    def live(self, client: ClientWindow, server: ServerWindow) -> None:
        """Show the figures of about the last second."""
        self._display.live(client, server)
        now = self._clock()
        if now - self._figures_at >= _FIGURES_S:
            self._figures_at = now
            self._show(replace(self._progress, figures=_figures(client, server, self._users)))

    def done(self, record: StepRecord) -> None:
        """Show the result of a step."""
        self._display.done(record)
        self._page.show_report(self._report())

    def storm_done(self, record: StormRecord) -> None:
        """Show the result of a storm."""
        self._display.storm_done(record)
        self._page.show_report(self._report())

    def _show(self, progress: Progress) -> None:
        self._progress = progress
        self._page.show_progress(progress)


def _figures(client: ClientWindow, server: ServerWindow, users: int) -> tuple[tuple[str, str], ...]:
    """Return the figures of about the last second as text."""
    p50, p99 = (quantile_ms(client.latency.intended, share) for share in (0.5, 0.99))
    found = {
        "users in rooms": f"{count(client.ready)} of {count(users)}",
        "deliveries/s": f"{_rate(client.deliveries.received, client)} of {_rate(client.deliveries.expected, client)}",
        "p50": None if p50 is None else format_ms(p50),
        "p99": None if p99 is None else format_ms(p99),
        "server CPU": _share(server.core_share),
        "generator CPU": _share(max((worker.cpu for worker in client.workers), default=None)),
    }
    return tuple((label, text) for label, text in found.items() if text is not None)


def _rate(number: int, client: ClientWindow) -> str:
    return count(round(number / client.seconds))


def _share(value: float | None) -> str | None:
    return None if value is None else f"{value * 100:.0f} %"
