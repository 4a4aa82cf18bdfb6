"""The cluster benchmark counts bus messages and CPU per delivery."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from benchmarks.cluster import __main__ as cluster
from benchmarks.load.driver import ChatLoad

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_the_bus_carries_a_message_once_however_many_members_it_has(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cluster, "MEMBERS", (100,))
    monkeypatch.setattr(cluster, "LOADS", (ChatLoad(40, 2, 200),))
    file = tmp_path / "figures.json"
    assert cluster.main(["--turns", "2", "--seconds", "0.5", "--json", str(file)]) == 0
    figures = json.loads(file.read_text())
    for room in figures["traffic"]:
        # Messages of one event loop iteration share a bus message, so a slow machine sends fewer, never more.
        assert 0 < room["on_the_bus"] <= room["sent"]
    (cost,) = figures["costs"]
    assert all(figure > 0 for turn in cost["turns"] for figure in turn.values())
    printed = capsys.readouterr().out
    assert "A room of 100 members over 2 workers" in printed
    assert "40 clients in 2 rooms, 200 messages/s" in printed
