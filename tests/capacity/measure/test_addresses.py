from __future__ import annotations

from capacity.measure.addresses import address_notes
from stampede.websocket.addresses import AddressUse


def test_of_one_address_there_is_nothing_to_say() -> None:
    assert address_notes([]) == address_notes([AddressUse("192.0.2.1", 5, 2, "connection refused")]) == []


def test_several_addresses_are_told_with_what_each_got_and_what_failed() -> None:
    uses = [AddressUse("192.0.2.1", 5, 0, ""), AddressUse("2001:db8::1", 0, 3, "no route to host")]
    assert address_notes(uses) == [
        "1 of the server's 2 addresses were used: 192.0.2.1 (5 connections)",
        "address 2001:db8::1: no route to host, 3 times",
    ]
