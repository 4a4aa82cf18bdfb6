"""Uploads of one client: confirmed, refused, and without the answers that a plain server does not have."""

from __future__ import annotations

import time
from random import Random
from typing import TYPE_CHECKING

import pytest

from stampede.client.upload import upload
from stampede.measure.request_names import UPLOAD
from tests.stampede.connections import TIMEOUT

if TYPE_CHECKING:
    from tests.stampede.client.client_group import ClientGroup


@pytest.mark.parametrize("size", [0, 1, 65536, 65537, 1_000_000])
def test_an_upload_is_checked_against_what_the_server_stored(
    group: ClientGroup, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr("stampede.client.upload._READY_SECONDS", TIMEOUT)
    upload(group.member("sharer"), group.measures, size, Random(1), time.monotonic_ns())
    request = group.measures.requests[UPLOAD]
    assert (request.times.count, request.failures) == (1, {})
    assert group.measures.optional == {"fileReady": True, "fileSaved": True}


def test_a_refused_upload_is_a_failure_with_the_server_s_code(
    group: ClientGroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stampede.client.upload._READY_SECONDS", TIMEOUT)
    upload(group.member("hoarder"), group.measures, 1 << 30, Random(1), time.monotonic_ns())
    assert group.failures(UPLOAD) == {"error: upload_too_large": 1}


def test_answers_that_a_plain_server_never_gives_are_waited_for_once(
    plain_group: ClientGroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stampede.client.upload._READY_SECONDS", 0.2)
    client = plain_group.member("sharer")
    for _ in range(5):
        upload(client, plain_group.measures, 70_000, Random(1), time.monotonic_ns())
    request = plain_group.measures.requests[UPLOAD]
    assert (request.times.count, request.failures) == (5, {})
    assert plain_group.measures.optional == {"fileReady": False, "fileSaved": False}
