"""The server under test, as a capacity run finds it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.loadtest.names import resolve_everywhere

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest

    from tests.capacity.conftest import Run
    from tests.processes import RunningServer

CALM = ("--window", "2", "--settle", "1", "--slo", "deliver_p99<60s")


def test_a_name_whose_first_address_refuses_is_measured_at_the_next(
    capacity: Callable[..., Run], server: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `localhost` is where it means `::1` first and the server listens on IPv4."""
    resolve_everywhere(monkeypatch, tmp_path, "localhost", "::1", "127.0.0.1")
    run = capacity("--host", server.url.replace("127.0.0.1", "localhost"), "--bounded", "20", *CALM)
    assert run.wait() == 0, run.errors
    assert run.report.steps[-1].verdict == "pass"
