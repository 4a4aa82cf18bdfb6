from __future__ import annotations

import io
import platform

from rich.console import Console

from capacity.cli.display import LiveDisplay, PlainDisplay, open_display, sparkline
from tests.capacity import make


def console(*, terminal: bool) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=110, height=40, color_system=None)


def shown(where: Console) -> str:
    assert isinstance(where.file, io.StringIO)
    return where.file.getvalue()


def test_a_pipe_gets_plain_lines_and_a_terminal_the_live_display() -> None:
    assert isinstance(open_display(console(terminal=False), "run"), PlainDisplay)
    assert isinstance(open_display(console(terminal=True), "run"), LiveDisplay)


def test_the_live_display_shows_each_worker_on_another_machine() -> None:
    where = console(terminal=True)
    display = LiveDisplay(where, "run")
    near = make.worker(host=platform.node())
    display.live(make.client(workers=(near, make.worker(index=1, host=platform.node()))), make.server())
    where.print(display.render())
    assert "worker 1" not in shown(where)
    far = make.worker(index=1, host="host-b", users=60, cpu=0.93, loop_lag_p99_ms=40.0, age_s=5.0)
    display.live(make.client(workers=(near, far)), make.server())
    where.print(display.render())
    line = next(line for line in shown(where).splitlines() if "worker 1" in line)
    for text in ("host-b", "93 %", "60 users", "lag p99 40 ms", "reported 5 s ago"):
        assert text in line


def test_a_notice_stays_on_the_terminal() -> None:
    where = console(terminal=True)
    with LiveDisplay(where, "run") as display:
        display.notice("start a worker with: locust " + "x" * 200)
    assert "locust " + "x" * 200 in shown(where).replace("\n", "")


def test_plain_lines_show_each_step_with_its_reason() -> None:
    where = console(terminal=False)
    with PlainDisplay(where, "run") as display:
        display.message("starting the server")
        display.step(1600, "ramp", 100.0)
        display.phase("settling", 3.0)
        display.live(make.client(), make.server())
        display.done(make.failing(1600))
    lines = shown(where).splitlines()
    assert lines[:2] == ["run", "starting the server"]
    assert len(lines) == 3
    assert "1 600 users  ramp     fail" in lines[2]
    assert "p99 1.84 s, server 99 %" in lines[2]
    assert "missed deliver_p99<250ms" in lines[2]


def test_the_live_display_shows_step_countdown_figures_and_verdicts() -> None:
    now = [100.0]
    display = LiveDisplay(console(terminal=True), "Stampede", clock=lambda: now[0])
    where = console(terminal=True)
    where.print(display.render())
    display.step(1600, "ramp", 100.0)
    display.phase("measuring", 6.0)
    display.live(make.client(received=10_000), make.server(cpu=0.95))
    display.done(make.step(800))
    display.done(make.failing(1600))
    now[0] += 2
    where.print(display.render())
    text = shown(where)
    for part in (
        "step 1: 1 600 users",
        "ramp · measuring 4 s",
        "1 667 of 1 900",
        "95 %",
        "● pass",
        "▼ fail",
        "98 s to go",
    ):
        assert part in text


def test_the_live_display_ends_with_the_table_of_verdicts() -> None:
    where = console(terminal=True)
    with LiveDisplay(where, "Stampede") as display:
        display.done(make.step(800))
    assert "● pass" in shown(where)


def test_80_columns_show_the_title_the_time_left_and_every_reason_whole() -> None:
    where = Console(file=io.StringIO(), force_terminal=True, width=80, height=40, color_system=None)
    title = (
        "Capacity of ws://chat.example.org: users of shop.py, dialect socketio, SLOs deliver_p99<250ms and loss<0.1%"
    )
    with LiveDisplay(where, title, clock=lambda: 100.0) as display:
        display.step(1600, "confirm", 145.0)
        display.phase("measuring", 6.0)
        where.print(display.render())
        for _ in range(5):
            display.done(make.failing(1600))
    text = " ".join(shown(where).split())
    assert "≤ 145 s to go" in text
    assert "…" not in text
    assert title in text
    assert text.count("1 600 users: missed deliver_p99<250ms: 1.84 s") >= 5


def test_unknown_figures_are_shown_as_unknown() -> None:
    where = console(terminal=True)
    display = LiveDisplay(where, "Stampede")
    display.step(10, "ramp", 10.0)
    display.live(make.client(latency_intended=make.histogram(), workers=()), make.server(cpu=None))
    where.print(display.render())
    assert "unknown" in shown(where)


def test_a_sparkline_scales_from_zero() -> None:
    assert sparkline([]) == ""
    assert sparkline([0, 0]) == "▁▁"
    assert sparkline([0, 4, 8]) == "▁▅█"
