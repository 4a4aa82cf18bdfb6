"""Cores, machines and their price."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from capacity.model.cores import cores_for
from capacity.model.sizing import Demand, size_for
from capacity.report.answer import build_answer
from capacity.report.cost_text import cost_text
from capacity.search.search import Ending
from tests.capacity import make

if TYPE_CHECKING:
    from capacity.record.report import RunReport

STEPS = make.converged()
ANSWER = build_answer(make.question(), STEPS, Ending.CONVERGED)


def report(demand: Demand | None, **figures: None) -> RunReport:
    steps = [msgspec.structs.replace(step, **figures) for step in STEPS]
    made = make.report(steps)
    return make.report(steps, sizing=size_for(demand, made.answer, made.steps) if demand else None)


def test_processes_are_put_on_machines_of_the_given_cores() -> None:
    needed = cores_for(12, 1, 2)
    assert needed is not None
    assert (needed.total, needed.machines, needed.per_machine) == (12, 6, 2)
    assert needed.words == "on a core each, 6 machines of 2 cores"
    assert needed.caveats == ["a machine that fails takes 2 processes with it, and only one process is spare"]


@pytest.mark.parametrize(("processes", "each", "cores", "machines"), [(12, 3, 8, 6), (12, 1, 5, 3), (2, 2, 2, 2)])
def test_a_process_needs_all_of_its_cores_on_one_machine(processes: int, each: int, cores: int, machines: int) -> None:
    needed = cores_for(processes, each, cores)
    assert needed is not None
    assert needed.machines == machines
    assert needed.total == processes * each


def test_without_known_or_large_enough_machines_only_cores_are_counted() -> None:
    for machine_cores in (None, 2):
        needed = cores_for(4, 3, machine_cores)
        assert needed is not None
        assert (needed.total, needed.machines, needed.words, needed.caveats) == (12, None, "on 3 cores each", [])
    assert cores_for(4, None, 8) is None


def test_the_cost_is_the_price_of_all_cores_with_its_arithmetic() -> None:
    sizing = size_for(Demand(10_000, 0.3, 2, 25.0), ANSWER, STEPS)
    assert sizing is not None
    assert (sizing.cores, sizing.machines, sizing.machine_cores, sizing.cores_per_process) == (12, 6, 2, 1)
    assert (sizing.price_per_core, sizing.cost_per_month) == (25.0, 300.0)
    assert sizing.cost == "12 cores x 25 a month = 300 a month, in the currency of --price-per-core"
    assert sizing.headline == "12 processes on a core each, 6 machines of 2 cores, 845 MiB of memory"


@pytest.mark.parametrize(
    ("price", "text"),
    [(0.025, "0.3 a month"), (12.5, "150 a month"), (1234.5, "14 814 a month"), (3.33, "39.96 a month")],
)
def test_amounts_have_no_exponent_and_few_digits(price: float, text: str) -> None:
    sizing = size_for(Demand(10_000, 0.3, 2, price), ANSWER, STEPS)
    assert sizing is not None
    assert f"= {text}" in str(sizing.cost)


def test_without_a_limit_the_cost_is_at_most() -> None:
    steps = [make.step(100), *[make.step(200)] * 3]
    sizing = size_for(Demand(500, 0.0, None, 10.0), build_answer(make.question(), steps, Ending.BUDGET), steps)
    assert sizing is not None
    assert "= at most 40 a month" in str(sizing.cost)


def test_the_cost_is_said_or_what_is_missing_for_it() -> None:
    assert cost_text(report(Demand(10_000, 0.3, 2, 25.0))).startswith("12 cores x 25 a month")
    assert cost_text(report(Demand(10_000, 0.3))) == "Not asked: give --price-per-core."
    assert cost_text(report(None)) == "Not asked: give --target-users and --price-per-core."
    assert cost_text(make.report([make.failing(100)], Ending.NOTHING_HOLDS)) == "Not computed: no level passed."


def test_a_server_whose_cpu_is_not_known_has_no_cost() -> None:
    unknown = report(Demand(10_000, 0.3, None, 25.0), server_cpu=None)
    assert unknown.sizing is not None
    assert unknown.sizing.cost is None
    assert unknown.sizing.cost_per_month is None
    assert cost_text(unknown).startswith("Not computed: the cores of a server process are not known")
    assert any(text.startswith("cost not computed") for text in unknown.sizing.caveats)
