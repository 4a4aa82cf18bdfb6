"""The benchmark of the metrics compares a server that counts with one that does not."""

from __future__ import annotations

import ast
import sys
import urllib.request
from typing import TYPE_CHECKING

import pytest

from benchmarks.costs.instrumentation import cost_of_counting, cost_of_scrapes, interval
from benchmarks.costs.server_without_metrics import remove_counters
from benchmarks.load.driver import ChatLoad, ClientPool
from benchmarks.processes import running
from tests.metrics.pages import series
from tests.tables import ROOT

if TYPE_CHECKING:
    from pathlib import Path

LOAD = ChatLoad(clients=6, rooms=2, rate=500)
DELIVERED = 'chat_messages_delivered_total{type="chatMessage"}'


@pytest.mark.parametrize("module", ["server", "benchmarks.costs.server_without_metrics"])
def test_both_servers_deliver_and_only_one_counts(module: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", module, "--port", "0", "--upload-dir", str(tmp_path), "--drain-seconds", "0"]
    with running(command) as server, ClientPool(server.url, LOAD) as pool:
        window = pool.run(0.2, 1.5, lambda: None)
        with urllib.request.urlopen(server.url.replace("ws:", "http:") + "/metrics", timeout=60) as answer:  # noqa: S310
            page = series(answer.read())
    assert window.deliveries > 0
    assert window.uniform
    counted = {name for name, value in page.items() if name.startswith("chat_") and value}
    if module == "server":
        assert page[DELIVERED] >= window.deliveries
    else:
        assert not {name for name in counted if not name.startswith(("chat_build_info", "chat_room", "chat_conn"))}


def test_every_statement_that_only_counts_is_removed() -> None:
    removed = {path.name: remove_counters(path.read_text())[1] for path in (ROOT / "server").rglob("*.py")}
    assert sum(removed.values()) >= 30
    assert (
        min(removed[name] for name in ("room.py", "connection.py", "endpoints.py", "publisher.py", "heartbeat.py")) >= 2
    )
    tree, _ = remove_counters(
        "def f(self):\n    self._stats.n += 1\n    self.n += 1\n    self._stats.h.observe(2)\n    g()\n"
    )
    assert ast.unparse(tree) == "def f(self):\n    pass\n    self.n += 1\n    pass\n    g()"


def test_the_costs_are_measured() -> None:
    assert len(cost_of_counting(LOAD, 0.1, 2)) == 2
    for done in cost_of_scrapes(ChatLoad(clients=60, rooms=10, rate=1), 5):
        assert done.count == 6
        assert 0 < done.mean < 1


def test_the_interval_contains_the_median_and_narrows_with_more_turns() -> None:
    few, many = ([n / size for n in range(size)] for size in (10, 1000))
    for values in (few, many):
        low, high = interval(values)
        assert low < 0.5 < high
    assert interval(many)[1] - interval(many)[0] < interval(few)[1] - interval(few)[0]
