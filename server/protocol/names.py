"""Names of users and rooms: the characters they may contain, and their normal form for comparison.

Invisible or misleading characters allow one user to impersonate another (Unicode TR 36, section 2; UTS 39, section 3).
So a name needs a visible character, and may not contain invisible or direction-changing characters. Three kinds of
invisible characters belong to normal writing and are allowed where they change what is displayed: joiners in Persian
or Indic words (RFC 5892, appendix A), joiners and variation selectors of emoji, and the variation selectors of Han and
Mongolian letters.

A name is displayed as it was typed, and compared in its normal form.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from idna import valid_contextj

from server.errors import ErrorCode, RequestError

_IGNORABLE: Final = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
"""Default_Ignorable_Code_Point of DerivedCoreProperties.txt, which includes the direction-changing characters."""

_INVISIBLE: Final = re.compile(
    f"[{_IGNORABLE}"
    "\\x00-\\x1f\\x7f-\\x9f\u2028\u2029"  # controls, line and paragraph separators
    "\u2800\U0001d159\U00016fe4"  # displayed as a blank: Braille blank, null notehead, Khitan filler
    "\ufff9-\ufffc\U00013430-\U0001345f"  # annotations, object replacement, joiners of hieroglyphs
    "\ufdd0-\ufdef"  # noncharacters; the code points for private use follow
    + "".join(f"{chr(plane + 0xFFFE)}{chr(plane + 0xFFFF)}" for plane in range(0, 0x110000, 0x10000))
    + "\ue000-\uf8ff\U000f0000-\U0010ffff]"
)

_EMOJI: Final = (
    "\u00a9\u00ae\u203c\u2049\u2122\u2139\u2190-\u21ff\u2300-\u23ff\u24c2\u25a0-\u27bf\u2900-\u297f\u2b00-\u2bff\u3030"
    "\u303d\u3297\u3299\U0001f000-\U0001faff"
)
_ONE_EMOJI: Final = f"[{_EMOJI}][\ufe0e\ufe0f]?[\U0001f3fb-\U0001f3ff]?[\U000e0020-\U000e007f]*"
_SEQUENCES: Final = re.compile(
    f"{_ONE_EMOJI}(?:\u200d{_ONE_EMOJI})*"
    "|[0-9#*]\ufe0f\u20e3"  # keycaps
    "|[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff][\ufe00-\ufe02\U000e0100-\U000e01ef]"  # Han
    "|[\u1807\u180a\u1820-\u18aa][\u180b-\u180f]"  # Mongolian
)
"""Sequences that may contain a variation selector, a joiner or a tag."""

_IGNORED: Final = re.compile(f"[{_IGNORABLE}]")
_UNKNOWN: Final = "Cn"  # unassigned in this Python's Unicode data, such as a new emoji
_VISIBLE: Final = re.compile(f"[LNPS]|{_UNKNOWN}")  # categories: letters, numbers, punctuation, symbols


def name_error(name: str) -> ErrorCode | None:
    """Return why a name of a user or a room is not allowed, or None if it is."""
    if name.isascii():
        if not name.isprintable():
            return ErrorCode.NAME_INVISIBLE
        return None if name.strip() else ErrorCode.NAME_BLANK
    if not any(_VISIBLE.match(unicodedata.category(character)) for character in _INVISIBLE.sub("", name)):
        return ErrorCode.NAME_BLANK
    return ErrorCode.NAME_INVISIBLE if has_invisible(name) else None


def check_name(name: str, about: str) -> None:
    """Check a name from a message of type `about`.

    Raises:
        RequestError: the name is not allowed.
    """
    error = name_error(name)
    if error is not None:
        raise RequestError(error, about)


def has_invisible(text: str) -> bool:
    """Return whether a text contains an invisible or direction-changing character that is not part of a sequence."""
    suspects = [found.start() for found in _INVISIBLE.finditer(text)]
    if not suspects:
        return False
    allowed = {place for found in _SEQUENCES.finditer(text) for place in range(found.start() + 1, found.end())}
    return not all(place in allowed or _joins(text, place) for place in suspects)


def normal_form(name: str) -> str:
    """Return the form for comparison: NFKC, without ignorable characters, with single spaces between words.

    Upper and lower case remain distinct.
    """
    if not name.isascii():
        name = unicodedata.normalize("NFKC", _IGNORED.sub("", unicodedata.normalize("NFKC", name)))
    return " ".join(name.split())


def _joins(text: str, place: int) -> bool:
    """Return whether a character is a joiner that changes the shape of the letters around it."""
    try:
        return valid_contextj(text, place)
    except ValueError:  # next to an unassigned character
        return False
