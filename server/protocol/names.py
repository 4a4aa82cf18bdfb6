"""Names of users and rooms: which characters they may have, and when two of them are the same.

A name that shows nothing, or that shows something else than it holds, lets one user pass for another (Unicode TR 36,
section 2; UTS 39, section 3). So a name needs a visible character, and has no character that is invisible or that
changes the direction of what follows. Three kinds of invisible characters are part of how people write, and allowed
where they change what is seen: joiners in Persian or Indic words (RFC 5892, appendix A), joiners and variation
selectors of emoji, and the variation selectors of Han and Mongolian letters.

A name is shown as it was typed, and compared in its normal form.
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
"""Default_Ignorable_Code_Point of DerivedCoreProperties.txt; the direction-changing ones are among them."""

_INVISIBLE: Final = re.compile(
    f"[{_IGNORABLE}"
    "\\x00-\\x1f\\x7f-\\x9f\u2028\u2029"  # controls, line and paragraph separators
    "\u2800\U0001d159\U00016fe4"  # look like a blank and are none: Braille blank, null notehead, Khitan filler
    "\ufff9-\ufffc\U00013430-\U0001345f"  # annotations, stand-in for an object, joiners of hieroglyphs
    "\ufdd0-\ufdef"  # noncharacters, and code points for private use, which every font shows as it likes
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
"""What may hold a variation selector, a joiner or a tag."""

_IGNORED: Final = re.compile(f"[{_IGNORABLE}]")
_UNKNOWN: Final = "Cn"  # to this Python's Unicode data: an emoji of next year
_VISIBLE: Final = re.compile(f"[LNPS]|{_UNKNOWN}")  # categories: letters, numbers, punctuation, symbols


def objection(name: str) -> ErrorCode | None:
    """Return why something cannot be the name of a user or a room; None if it can."""
    if name.isascii():
        if not name.isprintable():
            return ErrorCode.NAME_INVISIBLE
        return None if name.strip() else ErrorCode.NAME_BLANK
    if not any(_VISIBLE.match(unicodedata.category(character)) for character in _INVISIBLE.sub("", name)):
        return ErrorCode.NAME_BLANK
    return ErrorCode.NAME_INVISIBLE if has_invisible(name) else None


def check_name(name: str, about: str) -> None:
    """Raise RequestError about a message of type `about` if it gives an unusable name."""
    error = objection(name)
    if error is not None:
        raise RequestError(error, about)


def has_invisible(text: str) -> bool:
    """Tell whether a text has a character that is invisible or changes direction, where nothing needs it."""
    suspects = [found.start() for found in _INVISIBLE.finditer(text)]
    if not suspects:
        return False
    needed = {place for found in _SEQUENCES.finditer(text) for place in range(found.start() + 1, found.end())}
    return not all(place in needed or _joins(text, place) for place in suspects)


def normal_form(name: str) -> str:
    """Return the form in which names are compared: NFKC, without what is ignored, with single blanks inside only.

    Upper and lower case stay apart.
    """
    if not name.isascii():
        name = unicodedata.normalize("NFKC", _IGNORED.sub("", unicodedata.normalize("NFKC", name)))
    return " ".join(name.split())


def _joins(text: str, place: int) -> bool:
    """Tell whether a character is a joiner that changes the shape of the letters around it."""
    try:
        return valid_contextj(text, place)
    except ValueError:  # beside a character without a name
        return False
