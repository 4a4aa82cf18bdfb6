from __future__ import annotations

from stampede.client.stamp_table import MAX_ENTRIES, StampTable
from stampede.ledger import stamp


def test_each_payload_is_decoded_once() -> None:
    decoded: list[bytes] = []

    def find(payload: bytes) -> stamp.Fields | None:
        decoded.append(payload)
        return stamp.search(payload)

    table = StampTable(find)
    payload = stamp.for_any_server(stamp.make(1, 2, 3, 4, 5, 6))
    assert [table.find(payload), table.find(payload)] == [(1, 2, 3, 4, 5, 6)] * 2
    assert table.find(b"hello") is None
    assert decoded == [payload, b"hello"]


def test_the_table_is_bounded() -> None:
    table = StampTable(lambda payload: (int(payload), 0, 0, 0, 0, 0))
    for number in range(3 * MAX_ENTRIES):
        assert table.find(str(number).encode()) == (number, 0, 0, 0, 0, 0)
        assert len(table) <= MAX_ENTRIES
