"""A batch: the bytes, entries and recipients of each member agree."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from server.chat.batch import Batch
from tests.server.chat.room_helpers import KIND, FakeMember

if TYPE_CHECKING:
    from server.chat.member import Member


@given(
    st.lists(st.none() | st.integers(0, 3), min_size=1, max_size=8),
    st.dictionaries(st.integers(0, 3), st.integers(0, 8), max_size=4),
)
def test_a_member_receives_the_frames_that_it_has_neither_received_nor_sent(
    authors: list[int | None], already_sent: dict[int, int]
) -> None:
    members = [FakeMember() for _ in range(4)]
    entries = [
        (b"<%d>" % number, KIND, 0.5, None if author is None else members[author])
        for number, author in enumerate(authors)
    ]
    counts: dict[Member, int] = {members[index]: min(count, len(entries)) for index, count in already_sent.items()}
    batch = Batch(list(entries), dict.fromkeys(members), counts)
    for member in members:
        expected = [entry for entry in entries[counts.get(member, 0) :] if entry[3] is not member]
        assert batch.entries_for(member) == expected
        assert batch.data_for(member) == b"".join(entry[0] for entry in expected)
    assert batch.recipients(dict.fromkeys(members)) == [
        sum(entry in batch.entries_for(member) for member in members) for entry in entries
    ]
