from __future__ import annotations

from capacity.measure.addresses import address_notes
from stampede.websocket.addresses import AddressUse


def test_a_single_address_has_no_notes() -> None:
    assert address_notes([]) == address_notes([AddressUse("192.0.2.1", 5, 2, "connection refused")]) == []


def test_several_addresses_are_noted_with_connections_and_failures() -> None:
    uses = [AddressUse("192.0.2.1", 5, 0, ""), AddressUse("2001:db8::1", 0, 3, "no route to host")]
    assert address_notes(uses) == [
        "1 of the server's 2 addresses were used: 192.0.2.1 (5 connections)",
        "address 2001:db8::1: no route to host, 3 times",
    ]
