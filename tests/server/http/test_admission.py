"""Who is let in, and how fast one may speak."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.http.admission import ADDRESS_FULL, BUSY, DRAINING, FULL, Admission, accountable_address
from server.token_bucket import TokenBucket


def test_a_pace_allows_its_burst_and_then_its_rate() -> None:
    pace = TokenBucket(rate=10, burst=5)
    assert [pace.take(100.0) for _ in range(7)] == [True] * 5 + [False] * 2
    assert pace.wait(100.0) == pytest.approx(0.1)
    assert not pace.take(100.05)
    assert pace.take(100.11)


@given(st.lists(st.floats(0, 0.5), max_size=200), st.floats(0.5, 50), st.integers(1, 20))
def test_never_more_than_burst_plus_rate_in_any_stretch_of_time(pauses: list[float], rate: float, burst: int) -> None:
    pace = TokenBucket(rate, burst)
    now, taken = 0.0, []
    for pause in pauses:
        now += pause
        if pace.take(now):
            taken.append(now)
    for first in range(len(taken)):
        for last in range(first, len(taken)):
            assert last - first + 1 <= burst + rate * (taken[last] - taken[first]) + 1e-6


def test_what_has_happened_anyway_is_to_be_waited_for() -> None:
    pace = TokenBucket(rate=10, burst=5)
    pace.charge(100.0, 5)
    assert pace.wait(100.0) == pytest.approx(0.1)
    pace.charge(100.0, 10)
    assert pace.wait(100.0) == pytest.approx(1.1)
    assert not pace.take(101.0)
    assert pace.take(101.2)
    pace.charge(200.0, 4)  # the rest of the past counts for nothing
    assert pace.wait(200.0) == 0


def test_a_pace_of_zero_allows_everything() -> None:
    pace = TokenBucket(0, 1)
    assert all(pace.take(1.0) for _ in range(1000))


def test_the_server_fills_up_and_has_room_again() -> None:
    admission = Admission(max_connections=2, max_per_address=0, handshake_rate=0)
    assert [admission.admit("a", 0.0) for _ in range(3)] == [None, None, FULL]
    admission.release("a")
    assert admission.admit("b", 0.0) is None


def test_an_address_has_its_share() -> None:
    admission = Admission(max_connections=0, max_per_address=2, handshake_rate=0)
    assert [admission.admit(address, 0.0) for address in "aaba"] == [None, None, None, ADDRESS_FULL]
    admission.release("a")
    assert admission.admit("a", 0.0) is None


def test_handshakes_have_a_pace() -> None:
    admission = Admission(max_connections=0, max_per_address=0, handshake_rate=3)
    assert [admission.admit("a", 5.0) for _ in range(4)] == [None, None, None, BUSY]
    assert admission.admit("a", 5.4) is None


def test_nobody_is_let_in_while_draining() -> None:
    admission = Admission(max_connections=0, max_per_address=0, handshake_rate=0)
    admission.draining = True
    assert admission.admit("a", 0.0) is DRAINING


PROXIES = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


@pytest.mark.parametrize(
    ("peer", "forwarded", "counted"),
    [
        ("192.0.2.1", [], "192.0.2.1"),
        ("192.0.2.1", ["198.51.100.9"], "192.0.2.1"),  # said by someone we do not trust
        ("10.0.0.1", ["198.51.100.9"], "198.51.100.9"),
        ("10.0.0.1", ["203.0.113.5, 198.51.100.9, 10.0.0.2"], "198.51.100.9"),  # the client wrote the first itself
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
        ("10.0.0.1", ["2001:db8::1:443"], "2001:db8::/64"),  # without brackets all of it is the address
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
def test_a_connection_is_counted_under_the_address_nearest_to_the_client_that_can_be_believed(
    peer: str, forwarded: list[str], counted: str
) -> None:
    assert accountable_address(peer, forwarded, PROXIES) == counted


def test_a_released_place_is_counted_back_exactly() -> None:
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


def test_one_handshake_at_a_time_is_the_least_burst() -> None:
    admission = Admission(max_connections=0, max_per_address=0, handshake_rate=0.5)
    assert [admission.admit("a", 1.0) for _ in range(2)] == [None, BUSY]
    assert admission.admit("a", 3.0) is None


def test_a_bucket_is_full_again_at_the_moment_its_last_event_is_paid_for() -> None:
    for now, allowed in ((5.5, 1), (6.0, 2)):
        pace = TokenBucket(rate=2, burst=2)
        assert [pace.take(5.0) for _ in range(3)] == [True, True, False]
        assert [pace.take(now) for _ in range(3)] == [True] * allowed + [False] * (3 - allowed)


def test_without_trusted_proxies_no_header_is_believed() -> None:
    assert accountable_address("10.0.0.1", ["198.51.100.9"], ()) == "10.0.0.1"


def test_a_peer_that_is_no_address_is_counted_by_its_name() -> None:
    assert accountable_address("unix:", ["198.51.100.9"], PROXIES) == "unix:"
    assert accountable_address("unix:path:socket", [], ()) == "unix:path:socket"


def test_a_burst_is_allowed_to_its_last_event_and_the_next_when_it_is_due() -> None:
    pace = TokenBucket(rate=4, burst=3)  # exact in binary
    assert [pace.take(10.0) for _ in range(4)] == [True, True, True, False]
    assert [pace.take(10.125), pace.take(10.25), pace.take(10.25)] == [False, True, False]
    assert pace.wait(10.25) == 0.25


def test_a_burst_below_one_still_allows_one_event_at_a_time() -> None:
    pace = TokenBucket(rate=0.25, burst=0.5)
    assert [pace.take(now) for now in (0.0, 3.75, 4.0, 4.0)] == [True, False, True, False]


def test_a_pace_of_zero_owes_nothing_whatever_was_charged() -> None:
    pace = TokenBucket(0, 0)
    pace.charge(1.0, 1000)
    assert pace.wait(1.0) == 0
    assert pace.take(1.0)


def test_who_is_refused_takes_no_place_and_no_turn() -> None:
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


def test_entries_of_a_header_may_have_blanks_around_them() -> None:
    assert accountable_address("10.0.0.1", [" 203.0.113.5 ,  198.51.100.9  ", "\t10.0.0.2 "], PROXIES) == "198.51.100.9"
