"""A step's record keeps the ledger of its window."""

from __future__ import annotations

from dataclasses import replace

from capacity.judge.judgement import Judgement
from capacity.measure.server_window import ServerWindow
from capacity.record.step import StepRecord, Verdict
from capacity.search.search import Purpose
from capacity.search.step_record import step_record
from stampede.ledger.counts import DeliveryCounts
from tests.capacity import make

LEDGER = DeliveryCounts(expected=90, received=80, lost=7, duplicated=6, reordered=5, late=4, churned=3)


def record(*, measured: bool) -> StepRecord:
    client = replace(make.client(), deliveries=LEDGER) if measured else None
    return step_record(
        users=100, purpose=Purpose.RAMP, judgement=Judgement(Verdict.PASS), started_s=0.0, settle_s=1.0,
        client=client, server=ServerWindow(),
    )  # fmt: skip


def test_the_record_of_a_step_keeps_every_count_of_the_ledger() -> None:
    step = record(measured=True)
    ledger = (step.expected, step.received, step.lost, step.duplicated, step.reordered, step.late, step.churned)
    assert ledger == (90, 80, 7, 6, 5, 4, 3)


def test_the_counts_of_a_step_without_measurement_are_unknown() -> None:
    step = record(measured=False)
    assert (step.lost, step.late, step.churned) == (None, None, None)
