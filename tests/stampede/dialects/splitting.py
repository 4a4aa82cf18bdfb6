"""Cuts of a stream of bytes, for property tests."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Iterator


def cut(stream: bytes, data: st.DataObject) -> Iterator[bytes]:
    """Return the parts of a stream that is cut anywhere, empty parts included."""
    positions = data.draw(st.lists(st.integers(0, len(stream)), max_size=len(stream)))
    for start, end in pairwise([0, *sorted(positions), len(stream)]):
        yield stream[start:end]
