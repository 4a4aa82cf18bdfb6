"""Credentials in `--host` appear in no report, error or log."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.processes import RunningServer
    from tests.stampede.fixtures import Locust, WebLocust


def test_reports_show_no_secret(server: RunningServer, locust: Callable[..., Locust], tmp_path: Path) -> None:
    address = server.url.removeprefix("ws://")
    host = f"ws://ann:SECRET@{address}/ws/chat?token=SECRET"
    files = ("--html", str(tmp_path / "report.html"), "--csv", str(tmp_path / "table"))
    ended = locust("--headless", "-u", "2", "-r", "2", "-t", "2s", "--host", host, *files).wait()
    assert f"ws://***@{address}/ws/chat?token=***" in (tmp_path / "report.html").read_text()
    shown = [ended.out, ended.log, *(file.read_text() for file in tmp_path.iterdir() if file.is_file())]
    assert len(shown) >= 2 + 5
    assert not [text for text in shown if "SECRET" in text]


@pytest.mark.parametrize(
    "host",
    ["ws://ann:SECRET@127.0.0.1:1", "http://ann:SECRET@127.0.0.1:1", "ws://ann:SECRET@[127", "ws://x:1?token=SECRET"],
)
def test_errors_show_no_secret(locust: Callable[..., Locust], host: str) -> None:
    ended = locust("--headless", "-u", "1", "-t", "1s", "--host", host).wait()
    assert ended.code == 2
    assert "***" in ended.log
    assert "SECRET" not in ended.out + ended.log


def test_a_downloaded_report_shows_no_secret(server: RunningServer, web_locust: Callable[..., WebLocust]) -> None:
    address = server.url.removeprefix("ws://")
    web = web_locust("--host", f"ws://ann:SECRET@{address}")
    web.post("/swarm", user_count=1, spawn_rate=1)
    report = web.get("/stats/report?download=1").decode()
    assert f"ws://***@{address}" in report
    assert "SECRET" not in report
