"""Show the progress of a run: a live display on a terminal, plain lines otherwise."""

from __future__ import annotations

import platform
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from capacity.formatting import VERDICT_SYMBOLS, count, format_ms
from capacity.judge.limits import DEFAULT_LIMITS
from capacity.measure.client_window import quantile_ms
from capacity.storms.result import storm_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from capacity.measure.client_window import ClientWindow, WorkerWindow
    from capacity.measure.server_window import ServerWindow
    from capacity.record.step import StepRecord
    from capacity.record.storm import StormRecord

_STYLES: Final = {"pass": "green", "fail": "red", "invalid": "yellow"}
_BLOCKS: Final = "▁▂▃▄▅▆▇█"
_SPARKLINE_LENGTH: Final = 60
_OTHER_ROWS: Final = 17
_FIGURES_WIDTH: Final = 56
_REFRESH_PER_S: Final = 4
_WIDE: Final = 100
_REASONS_BELOW: Final = 3


class Display(Protocol):
    """The observer of a run, and a context manager around it."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...

    def message(self, text: str) -> None: ...

    def notice(self, text: str) -> None: ...

    def step(self, users: int, purpose: str, remaining_s: float) -> None: ...

    def phase(self, name: str, seconds: float) -> None: ...

    def live(self, client: ClientWindow, server: ServerWindow) -> None: ...

    def done(self, record: StepRecord) -> None: ...

    def storm_done(self, record: StormRecord) -> None: ...


def open_display(console: Console, title: str) -> Display:
    """Return the display for a console."""
    return LiveDisplay(console, title) if console.is_terminal else PlainDisplay(console, title)


def sparkline(values: Iterable[float]) -> str:
    """Return values as block characters, scaled from zero to their maximum."""
    series = list(values)
    top = max(series, default=0.0)
    if top <= 0:
        return _BLOCKS[0] * len(series)
    return "".join(_BLOCKS[min(len(_BLOCKS) - 1, int(value / top * len(_BLOCKS)))] for value in series)


def _ms(value: float | None) -> str:
    return "-" if value is None else format_ms(value)


def _cores(value: float | None) -> str:
    return "-" if value is None else f"{value * 100:.0f} %"


def _rate(value: float | None) -> str:
    return "-" if value is None else count(round(value))


class PlainDisplay:
    """Prints a line for each message and each step, for logs and pipes."""

    def __init__(self, console: Console, title: str) -> None:
        self._console = console
        self._title = title

    def __enter__(self) -> Self:
        self._line(self._title)
        return self

    def __exit__(self, *exc: object) -> None:
        return None

    def message(self, text: str) -> None:
        """Print a message."""
        self._line(text)

    def notice(self, text: str) -> None:
        """Print a message."""
        self._line(text)

    def step(self, users: int, purpose: str, remaining_s: float) -> None:
        """Print nothing: the line follows with the verdict."""

    def phase(self, name: str, seconds: float) -> None:
        """Print nothing: too detailed for a log."""

    def live(self, client: ClientWindow, server: ServerWindow) -> None:
        """Print nothing: too detailed for a log."""

    def done(self, record: StepRecord) -> None:
        """Print the line of a step."""
        why = f" - {'; '.join([*record.reasons, *record.notes])}" if record.reasons or record.notes else ""
        self._line(
            f"{count(record.users):>7} users  {record.purpose:8} {record.verdict:7}  "
            f"{_rate(record.delivered_per_s)} deliveries/s of {_rate(record.offered_per_s)}, "
            f"p50 {_ms(record.deliver_p50_ms)}, p99 {_ms(record.deliver_p99_ms)}, "
            f"server {_cores(record.server_core_share)}, "
            f"generator {_cores(max(record.generator_cpu, default=None))}{why}"
        )

    def storm_done(self, record: StormRecord) -> None:
        """Print the line of a storm."""
        self._line(storm_line(record))

    def _line(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)


@dataclass(slots=True)
class _CurrentStep:
    """The step in progress."""

    users: int = 0
    purpose: str = ""
    number: int = 0
    phase: str = "starting"
    phase_began: float = 0.0
    phase_s: float = 0.0
    budget_ends: float = 0.0
    client: ClientWindow | None = None
    server: ServerWindow | None = None
    p99: deque[float] = field(default_factory=lambda: deque(maxlen=_SPARKLINE_LENGTH))
    delivered: deque[float] = field(default_factory=lambda: deque(maxlen=_SPARKLINE_LENGTH))


class LiveDisplay:
    """Shows the current step with its countdown and figures, above the table of verdicts."""

    def __init__(self, console: Console, title: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._title = title
        self._clock = clock
        self._current = _CurrentStep()
        self._records: list[StepRecord] = []
        self._live = Live(
            console=console, get_renderable=self.render, refresh_per_second=_REFRESH_PER_S, transient=True
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._live.stop()
        self._console.print(Text(self._title, style="bold"))
        if self._records:
            self._console.print(self._table(len(self._records), reasons=len(self._records)))

    def message(self, text: str) -> None:
        """Show a message."""
        self.phase(text, 0.0)

    def notice(self, text: str) -> None:
        """Print a message that stays on the terminal."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def step(self, users: int, purpose: str, remaining_s: float) -> None:
        """Show a new step."""
        now = self._current
        now.users, now.purpose, now.number = users, purpose, now.number + 1
        now.budget_ends = self._clock() + remaining_s

    def phase(self, name: str, seconds: float) -> None:
        """Show a new phase of the step."""
        self._current.phase, self._current.phase_s, self._current.phase_began = name, seconds, self._clock()

    def live(self, client: ClientWindow, server: ServerWindow) -> None:
        """Show the figures of about the last second."""
        now = self._current
        now.client, now.server = client, server
        now.p99.append(quantile_ms(client.latency.intended, 0.99) or 0.0)
        now.delivered.append(client.deliveries.received / client.seconds)

    def done(self, record: StepRecord) -> None:
        """Add a step to the table."""
        self._records.append(record)

    def storm_done(self, record: StormRecord) -> None:
        """Show the result of a storm."""
        self.message(storm_line(record))

    def render(self) -> RenderableType:
        """Return the current display."""
        rows = max(3, self._console.height - _OTHER_ROWS)
        body = Group(Text(self._title, style="bold"), Text(), self._heading(), Text(), self._figures())
        panel = Panel(body, title="Stampede capacity run", title_align="left", padding=(0, 1))
        return Group(panel, self._table(rows)) if self._records else panel

    def _heading(self) -> RenderableType:
        now = self._current
        elapsed = self._clock() - now.phase_began
        line = Table.grid(padding=(0, 2), expand=True)
        for _ in range(3):
            line.add_column(no_wrap=True)
        line.add_column(justify="right", ratio=1, no_wrap=True)
        step = Text(f"step {now.number}: {count(now.users)} users", style="bold") if now.number else Text("")
        left = f"{max(0.0, now.phase_s - elapsed):.0f} s" if now.phase_s else ""
        bar = ProgressBar(
            total=now.phase_s or 1.0, completed=min(elapsed, now.phase_s), width=12, pulse=not now.phase_s
        )
        budget = max(0.0, now.budget_ends - self._clock())
        line.add_row(
            step,
            Text(f"{now.purpose} · {now.phase} {left}" if now.number else now.phase),
            bar,
            Text(f"≤ {budget:.0f} s to go", style="dim") if now.number else Text(""),
        )
        return line

    def _figures(self) -> RenderableType:
        now = self._current
        client, server = now.client, now.server
        grid = Table.grid(padding=(0, 3))
        for _ in range(3):
            grid.add_column(no_wrap=True)
        if client is None or server is None:
            grid.add_row(Text("waiting for the first deliveries", style="dim"))
            return grid
        offered, delivered = client.deliveries.expected / client.seconds, client.deliveries.received / client.seconds
        p50, p99 = quantile_ms(client.latency.intended, 0.5), quantile_ms(client.latency.intended, 0.99)
        width = max(8, min(_SPARKLINE_LENGTH, self._console.width - _FIGURES_WIDTH))
        generator = max((worker.cpu for worker in client.workers), default=None)
        grid.add_row(
            "users in rooms", f"{count(client.ready)} of {count(now.users)}", f"lost {count(client.deliveries.lost)}"
        )
        grid.add_row("deliveries/s", f"{_rate(delivered)} of {_rate(offered)}", _sparkline_text(now.delivered, width))
        grid.add_row("latency", f"p50 {_ms(p50)}   p99 {_ms(p99)}", _sparkline_text(now.p99, width))
        grid.add_row("server CPU", _gauge(server.core_share), Text.assemble("generator  ", _gauge(generator)))
        if {worker.host for worker in client.workers} - {"", platform.node()}:  # some are on other machines
            for worker in client.workers:
                grid.add_row(f"worker {worker.index}", worker.host, _worker_health(worker))
        return grid

    def _table(self, rows: int, *, reasons: int = _REASONS_BELOW) -> RenderableType:
        """Return the last rows of the table of verdicts; on a narrow terminal, with the last reasons below it."""
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", expand=False)
        for heading in ("users", "deliveries/s", "p50", "p99", "server", "generator"):
            table.add_column(heading, justify="right", no_wrap=True)
        table.add_column("verdict", no_wrap=True)
        shown = self._records[-rows:]
        is_wide = self._console.width >= _WIDE
        if is_wide:
            table.add_column("why", overflow="fold", style="dim")
        for record in shown:
            style = _STYLES[record.verdict]
            table.add_row(
                count(record.users),
                _rate(record.delivered_per_s),
                _ms(record.deliver_p50_ms),
                _ms(record.deliver_p99_ms),
                _cores(record.server_core_share),
                _cores(max(record.generator_cpu, default=None)),
                Text(f"{VERDICT_SYMBOLS[record.verdict]} {record.verdict}", style=style),
                *([_why(record)] if is_wide else []),
            )
        if is_wide:
            return table
        why = [f"{count(record.users)} users: {_why(record)}" for record in shown if record.reasons]
        return Group(table, *(Text(text, style="dim") for text in why[-reasons:]))


def _why(record: StepRecord) -> str:
    """Return the first reason and the first note of a step."""
    return "; ".join([*record.reasons[:1], *record.notes[:1]])


def _sparkline_text(values: Iterable[float], width: int) -> Text:
    return Text(sparkline(list(values)[-width:]), style="cyan")


def _worker_health(worker: WorkerWindow) -> Text:
    """Return the users, CPU and lags of one worker of the load generator, and the age of its last report."""
    lags_ms = [lag for lag in (worker.loop_lag_p99_ms, worker.send_lag_p99_ms) if lag is not None]
    lag = _ms(max(lags_ms, default=None))
    age = f", reported {worker.age_s:.0f} s ago" if worker.age_s > DEFAULT_LIMITS.stale_s else ""
    return Text.assemble(_gauge(worker.cpu), f"  {count(worker.users)} users, lag p99 {lag}{age}")


def _gauge(value: float | None) -> Text:
    if value is None:
        return Text("unknown", style="dim")
    filled = min(10, round(value * 10))
    style = "red" if value >= 0.9 else "yellow" if value >= 0.7 else "green"
    return Text.assemble(("█" * filled, style), ("░" * (10 - filled), "dim"), f" {value * 100:.0f} %")
