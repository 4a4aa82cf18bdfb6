from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from benchmarks._driver import Herd, Load
from benchmarks.fanout import OURS, PEER, Round, main, ratios, table

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.peers import Running
    from tests.processes import RunningServer

LOAD = Load(clients=12, rooms=3, rate=400)
GOOD = Round(OURS, 100.0, 100.0, 1000.0, 0.5, 0.1, 2.0, 1.0, 3.0, 0.2, None)


def deliveries_are_counted(url: str) -> None:
    """Below saturation each message sent is delivered to the three other members; some are under way at the end."""
    marks: list[None] = []
    with Herd(url, LOAD) as herd:
        tally = herd.run(0.0, 1.0, lambda: marks.append(None))
    assert len(marks) == 2
    assert tally.uniform
    assert tally.sent == tally.offered > 0
    assert 0 < tally.deliveries <= 3 * tally.sent
    assert tally.driver_share > 0
    assert tally.latencies_ns[0] > 0
    low, high = tally.latency_ms(0.5), tally.latency_ms(0.99)
    assert low is not None
    assert high is not None
    assert low <= high


def test_the_driver_counts_what_our_server_delivers(server: RunningServer) -> None:
    deliveries_are_counted(server.url)


def test_the_driver_counts_what_the_plain_peer_delivers(plain_peer: Running) -> None:
    deliveries_are_counted(plain_peer.url)


@pytest.mark.usefixtures("plain_peer_command")
def test_a_short_comparison_is_complete_and_ours_is_well_ahead(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two rounds, the better one counts: the aim is a ratio of 5 or more, 3 leaves room for a busy machine."""
    file = tmp_path / "fanout.json"
    assert main(["--rounds", "2", "--seconds", "0.5", "--json", str(file)]) == 0
    report = json.loads(file.read_text())
    assert report["load"] == {"clients": 200, "rooms": 2, "rate": 20_000}
    assert [done["server"] for done in report["rounds"]] == [OURS, PEER] * 2
    for done in report["rounds"]:
        assert done["offered_per_s"] == pytest.approx(20_000, rel=0.5)
        assert 0 < done["driver_cpu"] < 1.1
        assert 0 < done["server_cpu"] < 8
        assert 0 <= done["server_kept_waiting"] < 1.1
    if report["ratios"]:  # none where the machine let no round be valid, which the table then says
        assert max(report["ratios"]) >= 3
    shown = capsys.readouterr().out
    assert f"| {OURS} |" in shown
    assert f"| {PEER} |" in shown


def test_the_table_shows_median_and_spread_and_the_ratio() -> None:
    measured = [
        done
        for rate in (1000.0, 3000.0, 2000.0)
        for done in (
            replace(GOOD, deliveries_per_s=rate),
            replace(GOOD, server=PEER, deliveries_per_s=100.0, cpu_us_per_delivery=8.0),
        )
    ]
    assert ratios(measured, lambda done: done.deliveries_per_s) == [10, 20, 30]
    shown = table(measured)
    assert "| Stampede | 2,000 (1,000 to 3,000) | 50% (50% to 50%) | 10% (10% to 10%) |" in shown
    assert "Stampede delivers 20.0 (10.0 to 30.0) times what Node ws delivers, and 4.0 (4.0 to 4.0) times" in shown
    assert "3 of 3" in shown


def test_an_invalid_round_counts_for_nothing_and_is_named() -> None:
    bad = replace(GOOD, server=PEER, deliveries_per_s=1.0, problem="the driver used 99% of its CPU")
    good = replace(GOOD, server=PEER, deliveries_per_s=500.0)
    measured = [GOOD, bad, GOOD, good]
    assert ratios(measured, lambda done: done.deliveries_per_s) == [2]
    assert "Invalid: Node ws, the driver used 99% of its CPU." in table(measured)
    assert "1 of 2" in table(measured)
    assert "No ratio: no round is valid for both." in table([GOOD, bad])


def test_what_was_not_measured_is_not_shown_as_a_number() -> None:
    unheard = replace(GOOD, latency_p50_ms=None, latency_p99_ms=None)
    assert "| none | none |" in table([unheard])


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        (["--clients", "3", "--rooms", "2"], "every room needs two clients"),
        (["--rounds", "0"], "not a whole number above 0"),
        (["--seconds", "x"], "not a number of seconds"),
        (["--seconds", "60"], "at most 20"),
    ],
)
def test_unusable_flags_are_one_line_and_exit_code_2(
    flags: list[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code = main(flags)
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
    assert code == 2
    assert problem in capsys.readouterr().err.splitlines()[-1]
