"""The stamps of payloads that were decoded before: the members of a room receive the same bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from stampede.ledger.stamp import Fields

MAX_ENTRIES: Final = 4096


class StampTable(dict[bytes, "Fields"]):
    """The fields of stamps by payload, in bounded memory; shared by all clients of a process.

    A hit costs 0.1 us, a decoding 0.9 us. Batches of room mates follow one another, so a small table suffices.

    Args:
        find_stamp: returns the fields of the stamp in a payload, or None.
    """

    __slots__ = ("_find_stamp",)

    def __init__(self, find_stamp: Callable[[bytes], Fields | None]) -> None:
        super().__init__()
        self._find_stamp = find_stamp

    def find(self, payload: bytes) -> Fields | None:
        """Return the fields of the stamp in a payload, or None if it has none that can be found."""
        fields = self.get(payload)
        if fields is None:
            fields = self._find_stamp(payload)
            if fields is not None:
                if len(self) >= MAX_ENTRIES:
                    self.clear()
                self[payload] = fields
        return fields
