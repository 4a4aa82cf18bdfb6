"""The text of a check's messages, and how a server has changed it; pure.

The text is the stamp and a probe with the characters that servers escape most often.
"""

from __future__ import annotations

import re
from typing import Final

from stampede.ledger import stamp

PROBE: Final = "+/ probe text"
"""Follows the stamp."""

_WORDS: Final = re.compile(rb"probe.{1,6}text", re.IGNORECASE)
_WRITTEN: Final = re.compile(  # the characters of the probe, as they are or in the escapes of JSON, URLs and HTML
    rb"(?P<plus>\+|\\+u002b|%2b|&#43;|&#x2b;|&plus;)(?P<slash>\\*/|\\+u002f|%2f|&#47;|&#x2f;|&sol;).{1,6}probe",
    re.IGNORECASE,
)
_AROUND: Final = 60
_ENCODINGS: Final = ("utf-16-le", "utf-16-be", "utf-32-le")


def stamps_of(prefix: bytes) -> tuple[bytes, bytes]:
    """Return the two forms in which a dialect may send a stamp."""
    return prefix, stamp.for_any_server(prefix)


def contains_text(payload: bytes) -> bool:
    """Return whether a message contains the words of the probe, in whatever encoding and case."""
    return _WORDS.search(payload) is not None or _encoding_of(payload) is not None


def _encoding_of(payload: bytes) -> str | None:
    words = PROBE.split(maxsplit=1)[1]
    return next((name for name in _ENCODINGS if words.encode(name) in payload), None)


def change_of(payload: bytes, prefix: bytes, *, found: bool) -> str:
    """Return how a message differs from the text that was sent; empty if it contains the same text.

    Args:
        payload: the message as it arrived.
        prefix: the stamp that was sent.
        found: whether the dialect finds the stamp in the message.
    """
    encoding = _encoding_of(payload)
    if encoding is not None:
        return f"the server answers in {encoding.upper()}"
    words = _WORDS.search(payload)
    if words is None:
        return f"the text {PROBE!r} after the stamp is missing or changed"
    before = payload[: words.start()]
    changes = []
    if not found and not any(one in before for one in stamps_of(prefix)):
        before = before[: before.rfind(b"+/")]
        shown = before[max(before.rfind(b"~"), len(before) - _AROUND) :].decode(errors="replace")
        changes.append(f"the stamp {stamps_of(prefix)[1].decode()} arrives as {shown!r}")
    written = _WRITTEN.search(payload)
    if written is None:
        shown = payload[max(0, words.start() - 8) : words.end()].decode(errors="replace")
        changes.append(f"{PROBE!r} arrives as {shown!r}")
    else:
        changes += [
            f"{character} is written as {group.decode()}"
            for character, group in (("+", written["plus"]), ("/", written["slash"]))
            if group != character.encode()
        ]
    return ", ".join(changes)
