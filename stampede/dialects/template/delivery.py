"""Which messages are deliveries, and how the hot path finds their stamps; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stampede.dialects.template.matching import PathMatch, Received, TextMatch
from stampede.ledger import stamp

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from stampede.dialects.template.matching import Match, Path


class DeliveryRule:
    """Tells deliveries from other messages with a stamp, such as the sender's private copy.

    Args:
        receive: what a delivery matches; None if each message with a stamp is one.
        text: path of the text; None to search the whole message for a stamp.
        private: what the sender's private copy matches.
        ack: what an acknowledgement matches; it may repeat the text.

    Attributes:
        find_stamp: returns the stamp of a message that is a delivery on each connection, and nothing else; None for
            any other message, which `find` decides.
    """

    def __init__(self, receive: Match | None, text: Path | None, private: Match | None, ack: Match | None) -> None:
        self._receive = receive
        self._text = text
        self._private = private
        others = [one for one in (private, _fixed_part(ack)) if one is not None]
        self.find_stamp = self._finder([one for one in others if receive is None or not receive.excludes(one)])

    def _finder(self, others: list[Match]) -> Callable[[bytes], stamp.Fields | None]:
        """Return the function of the hot path. Times were measured with a message of 144 bytes.

        The search for a stamp takes 0.8 us, after a test of a prefix 1.1 us, and after a look for the words of another
        match 1.5 us. A rule with paths decodes the message, which takes 3.3 us in all, and 4 us with `text`. A rule
        with placeholders needs the values of the connection: the conversation decides, which takes 8.5 us.
        """
        receive, search = self._receive, stamp.search
        if receive is not None and receive.names:
            return _never
        may_be_other = tuple(one.may_match() for one in others)
        prefix = receive.fixed_prefix if isinstance(receive, TextMatch) else None
        if self._text is None and (receive is None or prefix is not None):
            if prefix is None and not may_be_other:
                return search

            def find_after_prefix(payload: bytes) -> stamp.Fields | None:
                if prefix is not None and not payload.startswith(prefix):
                    return None
                for may_match in may_be_other:
                    if may_match(payload):
                        return None
                return search(payload)

            return find_after_prefix

        def find_in_decoded(payload: bytes) -> stamp.Fields | None:
            if stamp.MARK not in payload:
                return None
            for may_match in may_be_other:
                if may_match(payload):
                    return None
            return self._find_delivery(Received(payload), {})

        return find_in_decoded

    def find(self, received: Received, values: Mapping[str, str]) -> stamp.Fields | None:
        """Return the stamp of a delivery, with the values of the connection; None for any other message."""
        if stamp.search(received.payload) is None:
            return None
        if self._private is not None and self._private.matches(received, values):
            return None
        return self._find_delivery(received, values)

    def _find_delivery(self, received: Received, values: Mapping[str, str]) -> stamp.Fields | None:
        if self._receive is not None and not self._receive.matches(received, values):
            return None
        if self._text is None:
            return stamp.search(received.payload)
        text = received.find_text(self._text)
        return stamp.search(text.encode(errors="replace")) if text is not None else None


def _never(payload: bytes) -> None:
    """Find no stamp: the hot path cannot tell."""


def _fixed_part(ack: Match | None) -> Match | None:
    """Return what is the same in the acknowledgements of all messages."""
    return ack.split()[0] if isinstance(ack, PathMatch) else ack
