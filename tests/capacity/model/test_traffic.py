"""The traffic of a server with an exporter of its own, whose series a dialect names."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from capacity.cli.main import main
from capacity.config.settings import read_settings
from capacity.errors import UsageError
from capacity.model.traffic import KEYS, Traffic, TrafficSeries, busiest_traffic, describe_traffic, traffic_between

ACME = Path("docs/dialects/acme.toml").read_text()
EVERY_SERIES = """
[metrics]
connections = "acme_connections"
rooms = "acme_channels"
messages_received = 'acme_events_total{event="publish"}'
typing_notices = 'acme_events_total{event="typing"}'
uploads = "acme_uploads_total"
upload_bytes = "acme_upload_bytes_total"
connections_vanished = 'acme_closed_total{reason="timeout"}'
"""
PAGE = """
acme_connections{{pod="a"}} 600
acme_connections{{pod="b"}} 400
acme_channels 50
acme_events_total{{event="publish",pod="a"}} {messages}
acme_events_total{{event="publish",pod="b"}} 7
acme_uploads_total {uploads}
acme_upload_bytes_total {bytes}
acme_closed_total{{reason="timeout"}} 0
acme_closed_total{{reason="normal"}} 99
"""
FIRST = PAGE.format(messages=1000, uploads=10, bytes=1e6)
SECOND = PAGE.format(messages=4000, uploads=70, bytes=13e6) + 'acme_events_total{event="typing"} 120\n'


def dialect(folder: Path, metrics: str) -> str:
    """Write a dialect whose server has these series."""
    file = folder / "acme.toml"
    file.write_text(ACME + metrics)
    return str(file)


def scrapes(folder: Path) -> list[str]:
    for name, text in (("one", FIRST), ("two", SECOND)):
        (folder / name).write_text(text)
    return [str(folder / "one"), str(folder / "two"), "--seconds", "60"]


def test_the_series_of_an_own_exporter_give_a_mix_with_its_dialect(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = dialect(tmp_path, EVERY_SERIES)
    assert main(["mix", *scrapes(tmp_path), "--dialect", file]) == 0
    traffic, _, run, locust, _, hint = capsys.readouterr().out.splitlines()
    assert traffic == (
        "1 000 connections in 50 rooms, 50 messages/s, 2 typing notices/s, 1 uploads/s of 195 KiB, 0 connections lost/s"
    )
    assert run.startswith(f"{sys.orig_argv[0]} -m capacity --dialect {file} --mix ChattingUser=98,")
    assert "FileUploadUser=1,TypingUser=1 --room-size 20 --message-rate 0.05" in run
    assert f"locust -f loadtest --dialect {file} ChattingUser" in locust
    assert hint == "Add --host with the URL of the server under test."
    settings = read_settings([*run.split()[3:], "--host", "ws://127.0.0.1:9"], {})
    assert settings.load.dialect == file


def test_series_that_the_dialect_does_not_name_are_unknown_and_not_zero(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = '[metrics]\nconnections = "acme_connections"\nmessages_received = \'acme_events_total{event="publish"}\'\n'
    assert main(["mix", *scrapes(tmp_path), "--dialect", dialect(tmp_path, few)]) == 0
    shown = capsys.readouterr().out
    assert shown.splitlines()[0] == (
        "1 000 connections, 50 messages/s; unknown: rooms, typing notices, uploads, upload bytes, connections vanished"
    )
    assert "--room-size" not in shown
    assert "--mix ChattingUser=100 --message-rate 0.05" in shown


@pytest.mark.parametrize(
    ("metrics", "error"),
    [
        ("", "[metrics] does not name the server's series for connections and messages_received"),
        (
            '[metrics]\nconnections = "acme_connections"\n',
            "[metrics] does not name the server's series for messages_received",
        ),
        (
            '[metrics]\nconnections = "sum(acme)"\nmessages_received = "acme_total"\n',
            "metrics.connections: 'sum(acme)' is not a series such as acme_messages_total{type=\"chat\"}",
        ),
        (
            '[metrics]\nconnections = "acme_connections"\nmessages_received = "acme_total"\n',
            "a scrape has no acme_total, which is in [metrics] of the dialect",
        ),
    ],
    ids=["no table", "no messages", "an expression", "a wrong name"],
)
def test_a_table_without_the_needed_series_is_one_line_and_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], metrics: str, error: str
) -> None:
    assert main(["mix", *scrapes(tmp_path), "--dialect", dialect(tmp_path, metrics)]) == 2
    said = capsys.readouterr().err
    assert error in said
    assert said.count("\n") == 1


def test_a_dialect_without_series_or_without_a_file_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["mix", *scrapes(tmp_path), "--dialect", "socketio"]) == 2
    assert "capacity: --dialect socketio: [metrics] does not name" in capsys.readouterr().err
    assert main(["mix", *scrapes(tmp_path), "--dialect", "nowhere.toml"]) == 2
    assert capsys.readouterr().err == "capacity: --dialect: nowhere.toml: No such file or directory\n"


def test_a_counter_that_appears_between_the_scrapes_began_at_zero() -> None:
    series = TrafficSeries.of_dialect("acme", {"connections": "acme_connections", "messages_received": "acme_total"})
    first, second = "acme_connections 10\n", "acme_connections 10\nacme_total 30\n"
    assert traffic_between(first, second, 10, series).messages == 3
    with pytest.raises(UsageError, match="acme_total went down"):
        traffic_between(second, second.replace("30", "3"), 10, series)


class HourlyPrometheus:
    """A Prometheus with one busy hour and the given values of expressions."""

    def __init__(self, **values: float) -> None:
        self.values = values
        self.ranked = ""

    def over(self, subquery: str) -> list[tuple[float, float]]:
        self.ranked = subquery
        return [(3600.0, 500.0), (7200.0, 0.0)]

    def value(self, expression: str, at: float) -> float | None:
        assert at == 3600.0
        return next((value for name, value in self.values.items() if f"({name}[1h])" in expression), None)


def test_the_busiest_hours_are_those_of_the_named_series() -> None:
    metrics = {"connections": "acme_connections", "messages_received": "acme_total", "rooms": "acme_channels"}
    series = TrafficSeries.of_dialect("acme", metrics)
    prometheus = HourlyPrometheus(acme_connections=100, acme_total=5, acme_channels=10)
    found, ends = busiest_traffic(prometheus, days=1, hours=1, series=series)  # type: ignore[arg-type]
    assert prometheus.ranked == "sum(increase(acme_total[1h]))[1d:1h]"
    assert (found, ends) == (Traffic(connections=100, messages=5, rooms=10), [3600.0])
    missing = HourlyPrometheus(acme_connections=100, acme_total=5)
    with pytest.raises(UsageError, match=r"Prometheus has no acme_channels in these hours, which is in \[metrics\]"):
        busiest_traffic(missing, days=1, hours=1, series=series)  # type: ignore[arg-type]


def test_the_keys_are_documented() -> None:
    page = Path("docs/dialects/template.md").read_text()
    for key in KEYS.values():
        assert f"| `{key}` |" in page


def test_uploads_without_their_size_have_none() -> None:
    assert describe_traffic(Traffic(1.0, 1.0, uploads=2.0)).startswith("1 connections, 1 messages/s, 2 uploads/s; unk")
