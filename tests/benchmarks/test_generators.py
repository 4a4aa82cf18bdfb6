from __future__ import annotations

import pytest

from benchmarks.generators import OURS, PEER, Load, Taken, main, ratios, table, take


def test_both_generators_take_what_is_offered() -> None:
    load = Load(clients=20, rooms=2, rate=5, seconds=4)
    ours, theirs = take(OURS, load), take(PEER, load)
    for taken in (ours, theirs):
        assert 0 < taken.deliveries <= 1.2 * load.deliveries_per_s * load.seconds
        assert taken.cpu > 0
        assert taken.p50_ms is not None


def test_the_table_tells_the_ratio_of_deliveries_per_core() -> None:
    measured = [Taken(OURS, 1000, 1.0, 1.0, 2.0), Taken(PEER, 200, 2.0, 5.0, 9.0), Taken(OURS, 3000, 1.0, 1.0, 2.0)]
    assert ratios(measured) == [10.0]
    assert "10.0 times (10.0 to 10.0)" in table(measured, Load(2, 1, 1, 1))


@pytest.mark.parametrize("flags", [["--clients", "1"], ["--rounds", "0"], ["--rate", "0"]])
def test_what_is_unusable_is_one_line(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(flags) == 2
    assert capsys.readouterr().err.count("\n") == 1
