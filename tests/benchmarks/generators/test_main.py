from __future__ import annotations

import re
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.generators import __main__ as generators
from benchmarks.generators.__main__ import GENERATORS, OURS, Measurement, compare, main, measure, ratios, table
from benchmarks.generators.commands import GeneratorLoad
from benchmarks.processes import BenchmarkError, running

if TYPE_CHECKING:
    from collections.abc import Iterator

K6 = "k6"
LOCUST = "plain Locust"


@pytest.fixture
def delivered(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the deliveries that each server had counted when its generator ended."""
    counts: list[int] = []
    original = running

    @contextmanager
    def counting(*arguments: Any) -> Iterator[Any]:
        with original(*arguments) as server:
            yield server
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with opener.open(server.url.replace("ws://", "http://").rstrip("/") + "/metrics", timeout=30) as page:
                found = re.search(
                    r'^chat_messages_delivered_total\{type="chatMessage"\} (\S+)$', page.read().decode(), re.MULTILINE
                )
            assert found is not None
            counts.append(int(float(found[1])))

    monkeypatch.setattr(generators, "running", counting)
    return counts


@pytest.mark.parametrize("name", [OURS, K6, LOCUST])
def test_each_generator_counts_what_the_server_delivered(name: str, delivered: list[int]) -> None:
    for seconds in (4, 16, 64):  # on a busy machine a generator may spend all of the time starting
        load = GeneratorLoad(clients=20, rooms=2, rate=5, seconds=seconds)
        found = measure(name, load)
        if found.deliveries:
            break
    # A generator leaves the last messages unread when it ends, but it cannot receive more than were delivered.
    assert 0 < 0.5 * delivered[-1] <= found.deliveries <= delivered[-1]
    assert delivered[-1] <= 1.8 * load.deliveries_per_s * load.seconds
    assert found.cpu > 0
    assert found.p50_ms is not None


def test_the_table_shows_the_ratios_of_deliveries_per_core() -> None:
    measured = [
        *(
            Measurement(OURS, 1000, 1.0, 1.0, 2.0),
            Measurement(K6, 200, 2.0, 5.0, 9.0),
            Measurement(LOCUST, 100, 0.5, 5.0, 9.0),
        ),
        Measurement(OURS, 3000, 1.0, 1.0, 2.0),
    ]
    assert ratios(measured, K6) == [10.0]
    assert ratios(measured, LOCUST) == [5.0]
    shown = table(measured, GeneratorLoad(2, 1, 1, 1))
    assert "10.0 times (10.0 to 10.0) the deliveries of k6 per core; goal: 8 times" in shown
    assert "5.0 times (5.0 to 5.0) the deliveries of plain Locust per core; goal: 4 times" in shown
    assert "Artillery" not in shown


def test_a_generator_that_is_not_installed_is_left_out_and_reported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(*_: object) -> None:
        raise BenchmarkError("not found")

    monkeypatch.setitem(GENERATORS, K6, missing)
    with pytest.raises(BenchmarkError, match="no generator could be measured"):
        compare(GeneratorLoad(2, 1, 1, 1), 3, [K6])
    assert capsys.readouterr().err == f"left out: {K6}: not found\n"


@pytest.mark.parametrize("flags", [["--clients", "1"], ["--rounds", "0"], ["--rate", "0"]])
def test_invalid_options_are_reported_in_one_line(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(flags) == 2
    assert capsys.readouterr().err.count("\n") == 1
