"""Cores are reserved for a server on the same machine, or the run notes that both sides compete."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from capacity.processes.cores import (
    Cores,
    LocalServer,
    are_competing,
    cores_beside,
    reserved_cores_note,
    usable_cores,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.capacity.fixtures import Run
    from tests.processes import RunningServer


@pytest.mark.parametrize(
    ("usable", "server", "cores", "shared"),
    [
        ((0, 1, 2, 3), None, Cores((), (0, 1, 2, 3)), True),
        ((0, 1, 2, 3), LocalServer(1, (0, 1, 2, 3)), Cores((), (0, 1, 2)), False),
        ((0, 1, 2, 3), LocalServer(3, (0, 1, 2, 3)), Cores((), (0,)), False),
        ((0, 1, 2, 3), LocalServer(4, (0, 1, 2, 3)), Cores((), (0, 1, 2, 3)), True),
        ((0, 1, 2, 3), LocalServer(1, (1,)), Cores((1,), (0, 2, 3)), False),
        ((0, 1, 2, 3), LocalServer(1, ()), Cores((), (0, 1, 2)), False),
        ((0, 1), LocalServer(1, (4, 5)), Cores((4, 5), (0, 1)), False),
        ((2,), LocalServer(1, (2,)), Cores((), (2,)), True),
        ((2,), LocalServer(1, ()), Cores((), (2,)), True),
    ],
)
def test_a_local_server_keeps_its_cores_if_others_remain(
    usable: tuple[int, ...], server: LocalServer | None, cores: Cores, *, shared: bool
) -> None:
    assert cores_beside(usable, server) == cores
    assert are_competing(usable, cores) == shared


def test_the_reserved_cores_are_named() -> None:
    assert reserved_cores_note((0, 1, 2), Cores((), (0,))).endswith("core 1, 2 is reserved for it")
    assert reserved_cores_note((0, 1, 2), Cores((1,), (0, 2))).endswith("core 1 is reserved for it")


def test_a_run_reserves_a_core_for_a_local_server_or_notes_that_both_compete(
    capacity: Callable[..., Run], server: RunningServer
) -> None:
    run = capacity("--host", server.url, "--bounded", "2", "--window", "1", "--settle", "1", "--slo", "deliver_p99<60s")
    run.wait()
    report, usable = run.report, usable_cores()
    generator = report.environment.generator_cores or []
    if len(usable) > 1:
        assert len(generator) == len(usable) - 1
        assert report.environment.generator_processes == len(generator)
        assert report.notes == []
    else:
        assert "it competes with the load generator" in report.notes[0]
