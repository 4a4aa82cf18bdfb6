from __future__ import annotations

import os
import resource
from statistics import median
from time import perf_counter_ns

import psutil
import pytest
from prometheus_client import ProcessCollector as LibraryCollector

from stampede.metrics.process import ProcessCollector


def collected(collector: ProcessCollector | LibraryCollector) -> dict[str, tuple[str, str, float]]:
    return {
        sample.name: (family.type, family.documentation, sample.value)
        for family in collector.collect()
        for sample in family.samples
    }


def test_names_kinds_and_help_are_those_of_prometheus_client() -> None:
    ours, theirs = collected(ProcessCollector()), collected(LibraryCollector(registry=None))
    assert {name: about[:2] for name, about in ours.items()} == {name: about[:2] for name, about in theirs.items()}


def test_the_values_are_those_of_the_operating_system() -> None:
    process = psutil.Process()
    values = {name: about[2] for name, about in collected(ProcessCollector()).items()}
    assert values["process_max_fds"] == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert values["process_start_time_seconds"] == pytest.approx(process.create_time(), abs=2)
    assert values["process_resident_memory_bytes"] == pytest.approx(process.memory_info().rss, rel=0.2)
    assert values["process_virtual_memory_bytes"] == pytest.approx(process.memory_info().vms, rel=0.2)
    used = process.cpu_times()
    assert 0 < values["process_cpu_seconds_total"] <= used.user + used.system + 0.02


def test_open_files_are_counted_one_by_one() -> None:
    collector = ProcessCollector()
    before = collected(collector)["process_open_fds"][2]
    files = [os.dup(0) for _ in range(7)]
    try:
        assert collected(collector)["process_open_fds"][2] == before + 7
    finally:
        for file in files:
            os.close(file)


def test_thousands_of_open_files_do_not_slow_a_scrape() -> None:
    """Compare with prometheus-client's collector, which lists the same files; the best of a few."""
    spare = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - psutil.Process().num_fds()
    files = [os.dup(0) for _ in range(min(5000, spare - 100))]
    try:
        ours, theirs = ProcessCollector(), LibraryCollector(registry=None)
        assert min(_cost(ours) / _cost(theirs) for _ in range(5)) < 0.5
    finally:
        for file in files:
            os.close(file)


def _cost(collector: ProcessCollector | LibraryCollector) -> float:
    times = []
    for _ in range(11):
        start = perf_counter_ns()
        list(collector.collect())
        times.append(perf_counter_ns() - start)
    return median(times)
