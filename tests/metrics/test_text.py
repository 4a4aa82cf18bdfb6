"""Our text is the library's, to the byte, or it is left to the library."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, InfoMetricFamily
from prometheus_client.core import Metric as Family
from prometheus_client.exposition import generate_latest as text_of_library
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics_of_library
from prometheus_client.registry import Collector

from metrics.text import write

WORDS = st.from_regex(r"[a-z]+(_[a-z]+){0,2}", fullmatch=True)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from('\\"\n{},= '), max_size=12)
NUMBERS = st.floats() | st.integers(0, 10**18).map(float)


class Fixed(Collector):
    def __init__(self, *families: Family) -> None:
        self.families = families

    def collect(self) -> tuple[Family, ...]:
        return self.families


def by_library(*families: Family, openmetrics: bool) -> bytes:
    registry = CollectorRegistry()
    registry.register(Fixed(*families))
    made: bytes = (openmetrics_of_library if openmetrics else text_of_library)(registry)
    return made


@given(
    name=WORDS,
    about=TEXTS,
    labels=st.lists(WORDS, unique=True, max_size=3),
    values=st.lists(st.tuples(st.lists(TEXTS, min_size=3, max_size=3), NUMBERS), max_size=4),
    kind=st.sampled_from([CounterMetricFamily, GaugeMetricFamily]),
    unit=st.sampled_from(["", "seconds", "bytes"]),
    openmetrics=st.booleans(),
)
def test_whatever_is_counted_is_written_as_the_library_writes_it(
    *,
    name: str,
    about: str,
    labels: list[str],
    values: list[tuple[list[str], float]],
    kind: type[CounterMetricFamily | GaugeMetricFamily],
    unit: str,
    openmetrics: bool,
) -> None:
    family = kind(name, about, labels=labels, unit=unit)
    for texts, value in values:
        family.add_metric(texts[: len(labels)], value)
    assert write([family], openmetrics=openmetrics) == by_library(family, openmetrics=openmetrics)


@given(
    counts=st.lists(st.integers(0, 10**9), min_size=3, max_size=3),
    total=NUMBERS,
    value=TEXTS,
    openmetrics=st.booleans(),
)
def test_histograms_are_written_as_the_library_writes_them(
    counts: list[int], total: float, value: str, openmetrics: bool
) -> None:
    family = HistogramMetricFamily("a_seconds", "About.", labels=["kind"], unit="seconds")
    family.add_metric([value], list(zip(("0.5", "1.0", "+Inf"), counts, strict=True)), total)
    assert write([family], openmetrics=openmetrics) == by_library(family, openmetrics=openmetrics)


@pytest.mark.parametrize("openmetrics", [False, True])
def test_what_it_does_not_know_is_left_to_the_library(openmetrics: bool) -> None:
    stamped = GaugeMetricFamily("a", "About.")
    stamped.add_metric([], 1, timestamp=5)
    created = CounterMetricFamily("a", "About.", value=1, created=3)
    for family in (stamped, created, InfoMetricFamily("a", "About.", {"version": "1"})):
        assert write([family], openmetrics=openmetrics) is None
