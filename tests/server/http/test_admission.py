"""Limits on connections and handshakes, and the address under which a connection is counted."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from server.http.admission import ADDRESS_FULL, BUSY, DRAINING, FULL, Admission, accountable_address


def test_a_full_server_admits_again_after_a_release() -> None:
    admission = Admission(max_connections=2, max_per_address=0, handshake_rate=0)
    assert [admission.admit("a", 0.0) for _ in range(3)] == [None, None, FULL]
    admission.release("a")
    assert admission.admit("b", 0.0) is None


def test_an_address_has_a_limit_of_its_own() -> None:
    admission = Admission(max_connections=0, max_per_address=2, handshake_rate=0)
    assert [admission.admit(address, 0.0) for address in "aaba"] == [None, None, None, ADDRESS_FULL]
    admission.release("a")
    assert admission.admit("a", 0.0) is None


def test_handshakes_have_a_rate_limit() -> None:
    admission = Admission(max_connections=0, max_per_address=0, handshake_rate=3)
    assert [admission.admit("a", 5.0) for _ in range(4)] == [None, None, None, BUSY]
    assert admission.admit("a", 5.4) is None


def test_no_connection_is_admitted_while_draining() -> None:
    admission = Admission(max_connections=0, max_per_address=0, handshake_rate=0)
    admission.draining = True
    assert admission.admit("a", 0.0) is DRAINING


PROXIES = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


@pytest.mark.parametrize(
    ("peer", "forwarded", "counted"),
    [
        ("192.0.2.1", [], "192.0.2.1"),
        ("192.0.2.1", ["198.51.100.9"], "192.0.2.1"),  # the peer is not a trusted proxy
        ("10.0.0.1", ["198.51.100.9"], "198.51.100.9"),
        (
            "10.0.0.1",
            ["203.0.113.5, 198.51.100.9, 10.0.0.2"],
            "198.51.100.9",
        ),  # the first entry may be forged by the client
        ("10.0.0.1", ["203.0.113.5", "198.51.100.9"], "198.51.100.9"),
        ("10.0.0.1", ["unknown"], "10.0.0.1"),
        ("10.0.0.1", ["", "198.51.100.9"], "198.51.100.9"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("::ffff:10.0.0.1", ["198.51.100.9"], "198.51.100.9"),
        ("::ffff:192.0.2.1", [], "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", [], "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", [], "2001:db8:1:2::/64"),
        ("fd00::1", ["2001:db8:7::1"], "2001:db8:7::/64"),
        ("", [], ""),
        ("10.0.0.1", ["203.0.113.7:51234"], "203.0.113.7"),
        ("10.0.0.1", ["[2001:db8::1]:443"], "2001:db8::/64"),
        ("10.0.0.1", ["[2001:db8::1]"], "2001:db8::/64"),
        ("10.0.0.1", ['"[2001:db8::1]:443"'], "2001:db8::/64"),
        ("10.0.0.1", ["2001:db8::1:443"], "2001:db8::/64"),  # without brackets there is no port
        ("10.0.0.1", ["203.0.113.7:51234, 10.0.0.2:80"], "203.0.113.7"),
        ("10.0.0.1", ["[::ffff:203.0.113.7]:51234"], "203.0.113.7"),
        ("10.0.0.1", ["[::ffff:10.0.0.2]:80"], "10.0.0.2"),
        ("fd00::1", ["[2001:db8:7::1]:1, [fd00::2]:2"], "2001:db8:7::/64"),
        ("10.0.0.1", ["203.0.113.7:port"], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.7:512345"], "10.0.0.1"),
        ("10.0.0.1", ["[203.0.113.7"], "10.0.0.1"),
        ("10.0.0.1", ["fe80::1%eth0"], "fe80::/64"),
    ],
)
def test_a_connection_counts_for_the_nearest_address_that_is_not_a_trusted_proxy(
    peer: str, forwarded: list[str], counted: str
) -> None:
    assert accountable_address(peer, forwarded, PROXIES) == counted


def test_a_release_frees_exactly_one_connection() -> None:
    admission = Admission(max_connections=4, max_per_address=3, handshake_rate=0)
    assert [admission.admit(address, 0.0) for address in "aaab"] == [None] * 4
    admission.release("a")
    assert [admission.admit(address, 0.0) for address in "aa"] == [None, FULL]
    admission.release("b")
    assert [admission.admit(address, 0.0) for address in "ab"] == [ADDRESS_FULL, None]


def test_an_address_without_connections_is_not_kept() -> None:
    admission = Admission(max_connections=0, max_per_address=2, handshake_rate=0)
    for address in ("a", "a", "b"):
        admission.admit(address, 0.0)
    admission.release("a")
    assert set(admission._by_address) == {"a", "b"}
    admission.release("a")
    admission.release("b")
    assert not admission._by_address


def test_the_smallest_burst_is_one_handshake() -> None:
    admission = Admission(max_connections=0, max_per_address=0, handshake_rate=0.5)
    assert [admission.admit("a", 1.0) for _ in range(2)] == [None, BUSY]
    assert admission.admit("a", 3.0) is None


def test_without_trusted_proxies_the_header_is_ignored() -> None:
    assert accountable_address("10.0.0.1", ["198.51.100.9"], ()) == "10.0.0.1"


def test_a_peer_without_an_ip_address_counts_by_its_name() -> None:
    assert accountable_address("unix:", ["198.51.100.9"], PROXIES) == "unix:"
    assert accountable_address("unix:path:socket", [], ()) == "unix:path:socket"


def test_a_refused_connection_uses_neither_a_connection_nor_a_handshake() -> None:
    admission = Admission(max_connections=3, max_per_address=2, handshake_rate=3)
    assert [admission.admit(address, 5.0) for address in "aaaab"] == [None, None, ADDRESS_FULL, ADDRESS_FULL, None]
    assert admission.admit("c", 50.0) is FULL
    admission.release("a")
    assert admission.admit("c", 50.0) is None
    admission.draining = True
    admission.release("c")
    assert admission.admit("c", 50.0) is DRAINING
    admission.draining = False
    assert admission.admit("c", 50.0) is None


def test_entries_of_a_header_may_be_surrounded_by_blanks() -> None:
    assert accountable_address("10.0.0.1", [" 203.0.113.5 ,  198.51.100.9  ", "\t10.0.0.2 "], PROXIES) == "198.51.100.9"
