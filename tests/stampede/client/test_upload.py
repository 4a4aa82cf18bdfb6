"""Uploads of one client: confirmed, refused, and without the answers that a plain server does not have."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from server.protocol import messages
from stampede.client.upload import CHUNK_BYTES
from stampede.measure.request_names import UPLOAD
from tests.stampede.connections import TIMEOUT

if TYPE_CHECKING:
    from tests.stampede.client.client_group import ClientGroup


def test_chunks_are_as_large_as_the_server_prescribes() -> None:
    assert CHUNK_BYTES == messages.CHUNK_BYTES


@pytest.mark.parametrize("size", [0, 1, 65536, 65537, 1_000_000])
def test_an_upload_is_checked_against_what_the_server_stored(
    group: ClientGroup, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr("stampede.client.upload._READY_SECONDS", TIMEOUT)
    assert group.member("sharer").upload(size)
    request = group.measures.requests[UPLOAD]
    assert (request.times.count, request.failures) == (1, {})
    assert group.measures.optional == {"fileReady": True, "fileSaved": True}


def test_a_refused_upload_is_a_failure_with_the_server_s_code(
    group: ClientGroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stampede.client.upload._READY_SECONDS", TIMEOUT)
    assert not group.member("hoarder").upload(1 << 30)
    assert group.failures(UPLOAD) == {"error: upload_too_large": 1}


def test_answers_that_a_plain_server_never_gives_are_waited_for_once(
    plain_group: ClientGroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stampede.client.upload._READY_SECONDS", 0.2)
    client = plain_group.member("sharer")
    for _ in range(5):
        assert client.upload(70_000)
    request = plain_group.measures.requests[UPLOAD]
    assert (request.times.count, request.failures) == (5, {})
    assert plain_group.measures.optional == {"fileReady": False, "fileSaved": False}
