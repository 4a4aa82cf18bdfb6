"""Limits on connections and sockets leave enough file descriptors for everything else."""

from __future__ import annotations

import resource

import pytest

from server.runtime.rlimits import DOWNLOADS, SPARE_SOCKETS, raise_file_limit, socket_budget


def set_limit(monkeypatch: pytest.MonkeyPatch, soft: int) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _resource: (soft, soft))


@pytest.mark.parametrize("soft", [1024, 20_000, resource.RLIM_INFINITY])
@pytest.mark.parametrize("max_uploads", [0, 64, 100_000])
@pytest.mark.parametrize("wanted", [None, 0, 10, 10_000_000])
def test_connections_uploads_and_spare_sockets_fit_into_the_file_limit(
    monkeypatch: pytest.MonkeyPatch, soft: int, max_uploads: int, wanted: int | None
) -> None:
    set_limit(monkeypatch, soft)
    budget = socket_budget(wanted, max_uploads)
    uploads = min(max_uploads or budget.connections, budget.connections)
    assert budget.connections >= 1
    assert budget.connections <= (wanted or budget.connections)
    assert budget.sockets >= budget.connections + SPARE_SOCKETS
    if soft > 0:
        assert budget.sockets + uploads + DOWNLOADS < soft


def test_a_wanted_number_of_connections_is_granted_if_it_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    set_limit(monkeypatch, 20_000)
    assert socket_budget(1000, 64).connections == 1000
    assert socket_budget(30_000, 64).connections == socket_budget(None, 64).connections < 20_000


def test_the_soft_limit_is_raised_to_the_hard_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[tuple[int, tuple[int, int]]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _resource: (1024, 4096))
    monkeypatch.setattr(resource, "setrlimit", lambda which, values: limits.append((which, values)))
    raise_file_limit()
    assert limits == [(resource.RLIMIT_NOFILE, (4096, 4096))]
