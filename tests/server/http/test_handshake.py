"""Conditions for an upgrade: origins, addresses, limits. Refusals have a reason and are counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.clients import ChatClient, handshake, open_handshake

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.processes import RunningServer


def test_origins_are_allowed_exactly_or_by_pattern(start: Callable[..., RunningServer]) -> None:
    server = start("--allowed-origin", "https://chat.example", "--allowed-origin", "https://*.team.example")
    allowed = ["https://chat.example", "HTTPS://Chat.Example", "https://a.team.example", "https://a.b.team.example"]
    refused = [
        "https://chat.example.evil",
        "http://chat.example",
        "https://team.example",
        "null",
        "https://evilteam.example",
    ]
    assert {origin: handshake(server.url, Origin=origin).status for origin in [*allowed, *refused]} == {
        **dict.fromkeys(allowed, 101),
        **dict.fromkeys(refused, 403),
    }
    assert handshake(server.url).status == 101
    assert server.samples()['chat_handshakes_rejected_total{reason="origin"}'] == len(refused)


def test_clients_without_an_origin_may_be_refused(start: Callable[..., RunningServer]) -> None:
    server = start("--allowed-origin", "https://chat.example", "--require-origin", "yes")
    assert handshake(server.url).status == 403
    assert handshake(server.url, Origin="https://chat.example").status == 101


def test_a_full_server_sends_retry_after_and_admits_again_later(start: Callable[..., RunningServer]) -> None:
    server = start("--max-connections", "2")
    first, second = ChatClient(server.url), ChatClient(server.url)
    refused = handshake(server.url)
    assert (refused.status, refused.headers["retry-after"]) == (503, "5")
    assert b"full" in refused.body
    assert server.get("/health") == "OK"
    first.close()
    with ChatClient(server.url):
        assert server.samples()["chat_connection_limit"] == 2
    second.close()
    assert server.samples()['chat_handshakes_rejected_total{reason="full"}'] == 1


def test_a_forwarded_address_of_a_trusted_proxy_has_a_limit_of_its_own(start: Callable[..., RunningServer]) -> None:
    server = start("--max-connections-per-address", "1", "--trusted-proxy", "127.0.0.0/8")
    with open_handshake(server.url, **{"X-Forwarded-For": "192.0.2.1"}) as first:
        assert first.status == 101
        assert handshake(server.url, **{"X-Forwarded-For": "192.0.2.1"}).status == 429
        assert handshake(server.url, **{"X-Forwarded-For": "192.0.2.2"}).status == 101


def test_the_header_of_an_untrusted_proxy_is_ignored(start: Callable[..., RunningServer]) -> None:
    server = start("--max-connections-per-address", "1")
    with open_handshake(server.url, **{"X-Forwarded-For": "192.0.2.1"}):
        assert handshake(server.url, **{"X-Forwarded-For": "192.0.2.2"}).status == 429


def test_handshakes_above_the_rate_are_refused_for_a_second(start: Callable[..., RunningServer]) -> None:
    server = start("--handshake-rate", "0.01")  # too low for a second one, however long the test takes
    first, *refused = [handshake(server.url) for _ in range(3)]
    assert first.status == 101
    assert [(answer.status, answer.headers["retry-after"]) for answer in refused] == [(503, "1")] * 2


def test_a_malformed_handshake_does_not_count_as_a_connection(start: Callable[..., RunningServer]) -> None:
    server = start("--max-connections", "1")
    assert handshake(server.url, **{"Sec-WebSocket-Version": "8"}).status == 400
    assert handshake(server.url).status == 101
