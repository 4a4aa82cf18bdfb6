"""Measures take turns in alternating order, and their results keep the order of the measures."""

from __future__ import annotations

from benchmarks.interleaving import WARM_UP_SECONDS, interleave


def test_measures_take_turns_in_alternating_order() -> None:
    calls: list[tuple[str, float]] = []

    def measure(name: str, seconds: float) -> str:
        calls.append((name, seconds))
        return f"{name}{len(calls)}"

    results = interleave([lambda s: measure("a", s), lambda s: measure("b", s)], 0.5, 2)
    assert calls[:2] == [("a", WARM_UP_SECONDS), ("b", WARM_UP_SECONDS)]
    assert [name for name, _ in calls[2:]] == ["b", "a", "a", "b"]
    assert results == [["a4", "b3"], ["a5", "b6"]]
