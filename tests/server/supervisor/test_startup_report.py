"""A server process reports where it listens: to people in words, to its supervisor in JSON."""

from __future__ import annotations

import msgspec
import pytest

from server.supervisor.startup_report import FORMAT_VARIABLE, StartupReport, parse_startup_report

AS_JSON = {FORMAT_VARIABLE: "json"}


@pytest.mark.parametrize(
    ("metrics_address", "lines"),
    [(None, "Stampede listening"), ("[::1]:9000", "Stampede listening\nMetrics on http://[::1]:9000/metrics")],
)
def test_people_read_one_line_for_each_address(metrics_address: str | None, lines: str) -> None:
    assert StartupReport("Stampede listening", metrics_address).render({}) == lines


@pytest.mark.parametrize("metrics_address", [None, "127.0.0.1:9000"])
def test_the_supervisor_reads_the_same_report_from_one_line(metrics_address: str | None) -> None:
    report = StartupReport('listening on "[::1]"\n', metrics_address)
    line = report.render(AS_JSON)
    assert "\n" not in line
    assert parse_startup_report(line.encode()) == report


@pytest.mark.parametrize("line", [b"Stampede listening on ws://127.0.0.1:1\n", b"{}", b"[]"])
def test_a_line_that_is_no_report_is_an_error(line: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        parse_startup_report(line)
