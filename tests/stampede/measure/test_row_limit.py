"""The master keeps a bounded number of request names, and loses no request."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stampede.measure.figures import RequestCounts, no_figures
from stampede.measure.request_names import MAX_OWN_NAMES, NAMES, row_of
from stampede.measure.row_limit import RowLimit


def rows(names: range) -> dict[str, RequestCounts]:
    return no_figures().requests | {row_of(f"page {number}"): RequestCounts(2, 1) for number in names}


def test_names_of_all_workers_share_one_limit() -> None:
    limit = RowLimit()
    first, second = limit.apply(rows(range(60))), limit.apply(rows(range(50, 150)))
    assert first == rows(range(60))
    assert len(first | second) == len(NAMES) + MAX_OWN_NAMES + 1
    assert second["WS other"] == RequestCounts(100, 50)


def test_built_in_rows_are_kept_beyond_the_limit() -> None:
    limit = RowLimit()
    limit.apply({row_of(f"page {number}"): RequestCounts(1) for number in range(500)})
    assert set(no_figures().requests) <= set(limit.apply(no_figures().requests))


def test_names_of_thresholds_are_kept_beyond_the_limit() -> None:
    limit = RowLimit(["page 499", "GET /login"])
    limit.apply(rows(range(400)))
    kept = limit.apply(rows(range(400, 500)) | {"GET /login": RequestCounts(1)})
    assert {"WS page 499", "WS other", "GET /login"} == set(kept) - set(no_figures().requests)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 300)), max_size=400))
def test_no_row_of_a_worker_ever_decreases(seen: list[tuple[int, int]]) -> None:
    limit = RowLimit()
    sent: list[dict[str, RequestCounts]] = [{}, {}, {}]
    before: list[dict[str, RequestCounts]] = [{}, {}, {}]
    for worker, number in seen:
        counts = sent[worker].setdefault(row_of(f"page {number}"), RequestCounts())
        counts.count += 1
        after = limit.apply({row: RequestCounts(one.count) for row, one in sent[worker].items()})
        assert all(after[row].count >= counts.count for row, counts in before[worker].items())
        assert sum(one.count for one in after.values()) == sum(one.count for one in sent[worker].values())
        before[worker] = after
