"""`python -m capacity.web.process`: the process that serves the live page of a run.

It is a process of its own, at the lowest priority and on the cores of the load generator: drawing the charts takes more
than a second of CPU, and clients may be many or slow. The run writes messages to its standard input; their end is the
end of the run.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
import threading
from typing import TYPE_CHECKING, Final

import msgspec

from capacity.config.listen_address import listen_address
from capacity.config.secrets import redact_report
from capacity.web.board import Board
from capacity.web.http_server import PageServer
from capacity.web.messages import End, NewReport, Progress, read_message

if TYPE_CHECKING:
    from typing import BinaryIO

LAST_REPORT_S: Final = 3.0
"""How long connected pages may take at the end of the run to load its last report."""

_LOWEST_PRIORITY: Final = 19
_ENDED_WITHOUT_REPORT: Final = End("The run ended without a report.")


class _Renderer:
    """Renders the latest report in a thread; reports in between are left out."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._added = threading.Condition()
        self._latest: NewReport | None = None

    def add(self, report: NewReport) -> None:
        """Render a report as soon as possible."""
        with self._added:
            self._latest = report
            self._added.notify()

    def run(self) -> None:
        """Render reports forever."""
        while True:
            with self._added:
                self._added.wait_for(lambda: self._latest is not None)
                latest, self._latest = self._latest, None
            if latest is not None:
                self._render(latest)

    def _render(self, latest: NewReport) -> None:
        from capacity.report.html import report_charts, report_page  # noqa: PLC0415 - takes time to load

        try:
            report = redact_report(latest.make())
            page = report_page(report, report_charts(report)).encode()
            self._board.show_report(page, msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
        except Exception as error:  # noqa: BLE001 - the page says so, and the next report may succeed
            self._board.show_problem(f"The latest measurements cannot be drawn: {type(error).__name__}: {error}")


def _follow(source: BinaryIO, board: Board, renderer: _Renderer) -> None:
    """Show what the run sends, until its end."""
    while (message := read_message(source)) is not None:
        match message:
            case Progress():
                board.show_progress(message)
            case NewReport():
                renderer.add(message)
            case End():
                board.show_end(message)
                return
    board.show_end(_ENDED_WITHOUT_REPORT)


def _lower_priority() -> None:
    """Use only CPU time that nothing else needs."""
    os.nice(_LOWEST_PRIORITY)
    if sys.platform == "linux":
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def main() -> None:
    """Serve the page until the run has ended and connected pages have its last report."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--socket", type=int, required=True)
    parser.add_argument("--address", type=listen_address, required=True)
    parser.add_argument("--title", required=True)
    given = parser.parse_args()
    _lower_priority()
    board = Board()
    server = PageServer(socket.socket(fileno=given.socket), given.address, board, given.title)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    renderer = _Renderer(board)
    threading.Thread(target=renderer.run, daemon=True).start()
    _follow(sys.stdin.buffer, board, renderer)
    server.wait_idle(LAST_REPORT_S)


if __name__ == "__main__":
    main()
