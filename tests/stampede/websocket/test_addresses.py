"""The order of a server's addresses, and their reported uses."""

from __future__ import annotations

import socket

from stampede.websocket.addresses import Address, Addresses

FLAGS = ("ChattingUser", "-u", "20", "-r", "20", "-t", "3s", "--room-size", "10")


def v4(host: str) -> Address:
    return Address(socket.AF_INET, (host, 80))


def v6(host: str) -> Address:
    return Address(socket.AF_INET6, (host, 80, 0, 0))


A, B, C, SIX, SEVEN = v4("192.0.2.1"), v4("192.0.2.2"), v4("192.0.2.3"), v6("2001:db8::6"), v6("2001:db8::7")


def test_families_alternate_and_each_keeps_the_resolver_s_order() -> None:
    """RFC 8305, section 4."""
    assert Addresses([SIX, SEVEN, A, B, C]).order() == [SIX, A, SEVEN, B, C]
    assert Addresses([A, B, C, SIX]).order() == [A, SIX, B, C]


def test_an_address_that_is_found_twice_is_used_once() -> None:
    assert Addresses([A, A, B]).order() == [A, B]


def test_each_connection_begins_at_the_next_address() -> None:
    addresses = Addresses([A, B, C])
    assert [addresses.order() for _ in range(4)] == [[A, B, C], [B, C, A], [C, A, B], [A, B, C]]
    assert Addresses([A, B, C], first=2).order() == [C, A, B]


def test_an_address_that_never_answered_is_tried_last_once_another_has_answered() -> None:
    addresses = Addresses([SIX, A, B])
    addresses.failed(SIX, "connection refused")
    assert {addresses.order()[0] for _ in range(6)} == {SIX, A, B}  # as likely as the others: none has answered yet
    addresses.opened(A)
    assert {tuple(addresses.order()) for _ in range(6)} == {(A, B, SIX), (B, A, SIX)}


def test_an_address_that_answered_once_keeps_its_share_when_it_refuses() -> None:
    addresses = Addresses([A, B])
    addresses.opened(A)
    addresses.opened(B)
    addresses.failed(A, "connection refused")
    assert [addresses.order()[0] for _ in range(4)] == [A, B, A, B]


def test_a_connection_begins_at_its_own_address_and_goes_on_at_the_next_ones_in_turn() -> None:
    addresses = Addresses([A, B, C])
    assert [addresses.order("192.0.2.2") for _ in range(3)] == [[B, A, C], [B, C, A], [B, A, C]]


def test_an_own_address_that_never_answered_is_tried_last() -> None:
    addresses = Addresses([SIX, A, B])
    assert addresses.labels() == ["2001:db8::6", "192.0.2.1", "192.0.2.2"]
    addresses.failed(SIX, "connection refused")
    addresses.opened(A)
    assert addresses.labels() == ["192.0.2.1", "192.0.2.2"]
    assert addresses.order("2001:db8::6")[-1] == SIX


def test_a_label_has_the_port_if_the_server_has_several() -> None:
    first, second = v4("192.0.2.1"), Address(socket.AF_INET6, ("2001:db8::6", 81, 0, 0))
    addresses = Addresses([first, second])
    assert addresses.labels() == ["192.0.2.1:80", "[2001:db8::6]:81"]
    assert [use.address for use in addresses.uses()] == addresses.labels()
    assert Addresses([A]).label(A) == "192.0.2.1"


def test_the_uses_and_failures_of_each_address_are_counted() -> None:
    addresses = Addresses([SIX, A])
    addresses.failed(SIX, "network is unreachable")
    addresses.failed(SIX, "connection refused")
    addresses.opened(A)
    addresses.opened(A)
    assert [(use.address, use.connections, use.failures, use.why) for use in addresses.uses()] == [
        ("2001:db8::6", 0, 2, "connection refused"),
        ("192.0.2.1", 2, 0, ""),
    ]
