"""Open the live page of a command before anything starts, and show the run and its end on it."""

from __future__ import annotations

import contextlib
import platform
import sys
from typing import TYPE_CHECKING

from rich.text import Text

from capacity.cli.output import write_errors
from capacity.cli.watched_display import WatchedDisplay
from capacity.errors import CapacityError, InterruptedRunError
from capacity.web.live_page import LivePage
from capacity.web.messages import End
from stampede.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from rich.console import Console

    from capacity.cli.display import Display
    from capacity.config.listen_address import ListenAddress
    from capacity.errors import Problem
    from capacity.record.report import RunReport

_WARNING = " - anyone who can reach this address can read the report"


@contextlib.contextmanager
def open_page(address: ListenAddress | None, console: Console) -> Iterator[LivePage | None]:
    """Serve the live page at an address within the block, and print its URL; without an address, do nothing.

    Raises:
        UsageError: the address cannot be used.
    """
    if address is None:
        yield None
        return
    with LivePage(address) as page:
        warning = "" if page.address.is_loopback else _WARNING
        console.print(Text(f"live report: {page.url}{warning}"), soft_wrap=True)
        try:
            yield page
        except (CapacityError, InterruptedRunError) as error:
            page.set_end(End(_sentence(str(error))))
            raise
        finally:
            if page.problem is not None:
                print(f"capacity: {page.problem}", file=sys.stderr)


def on_page(display: Display, page: LivePage | None, report: Callable[[], Callable[[], RunReport]]) -> Display:
    """Return a display that shows a run on its live page too, if there is one; see `WatchedDisplay`."""
    return display if page is None else WatchedDisplay(display, page, report)


def show_report(page: LivePage | None, folder: Path, problem: Problem | None) -> None:
    """Let the live page show the written report when it ends.

    Raises:
        RunError: the report cannot be read.
    """
    if page is None:
        return
    name = folder / "report.html"
    what = "This is the final report" if problem is None else f"{_sentence(str(problem))} This is the partial report"
    text = f"{what}, saved as {name.resolve()} on {platform.node()}."
    with write_errors():
        page.set_end(End(text, name.read_bytes(), (folder / "report.json").read_bytes()))


def _sentence(text: str) -> str:
    return redact(f"{text[:1].upper()}{text[1:]}.")
