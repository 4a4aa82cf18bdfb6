"""How a changed text of a check is described."""

from __future__ import annotations

import pytest

from stampede.check.probe import PROBE, change_of, contains_text
from stampede.ledger import stamp

PREFIX = stamp.make(1 << 62, 2 << 61, 0xFFFFFFFF, 1, 2, 3)
SENT = (stamp.for_any_server(PREFIX).decode() + PROBE).encode()
FOUND = stamp.for_any_server(PREFIX).decode()


@pytest.mark.parametrize(
    ("payload", "change"),
    [
        (SENT, ""),
        (b"Client #1 says: " + SENT, ""),
        (b'{"text":"%b"}' % SENT.replace(b"/", rb"\/"), r"/ is written as \/"),
        (SENT.replace(b"/", rb"\\/"), r"/ is written as \\/"),  # JSON inside a JSON string
        (SENT.replace(b"+", rb"\u002B"), r"+ is written as \u002B"),
        (SENT.replace(b"+", b"&#43;").replace(b"/", b"&#x2F;"), "+ is written as &#43;, / is written as &#x2F;"),
        (
            SENT.replace(b"+", b"%2B").replace(b"/", b"%2F").replace(b" ", b"%20"),
            "+ is written as %2B, / is written as %2F",
        ),
        (SENT.replace(b"+/ ", b" "), f"'+/ probe text' arrives as '{FOUND[-7:]} probe text'"),
        (SENT.split(b"+/")[0], "the text '+/ probe text' after the stamp is missing or changed"),
    ],
)
def test_the_change_of_a_text_with_a_stamp_is_named(payload: bytes, change: str) -> None:
    assert change_of(payload, PREFIX, found=True) == change


def test_a_changed_stamp_is_shown() -> None:
    assert change_of(SENT.lower(), PREFIX, found=False) == f"the stamp {FOUND} arrives as {FOUND.lower()!r}"
    assert change_of(SENT, PREFIX, found=False) == ""
    assert change_of(PREFIX + PROBE.encode(), PREFIX, found=False) == ""


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le"])
def test_another_encoding_is_named(encoding: str) -> None:
    payload = SENT.decode().encode(encoding)
    assert contains_text(payload)
    assert change_of(payload, PREFIX, found=False) == f"the server answers in {encoding.upper()}"


def test_other_messages_do_not_contain_the_text() -> None:
    assert not contains_text(b'{"op":"presence","room":"stampede-check"}')
    assert contains_text(SENT.upper())
