from __future__ import annotations

import pytest

from capacity.drill.judge import CommandOutcome
from capacity.record.step import Cause, Verdict
from stampede.generator_faults import Fault, FaultKind
from tests.capacity import make
from tests.capacity.drill.make_drill import client, record, timeline, untouched, watch


def test_a_drill_within_its_slos_passes() -> None:
    drill = record()
    assert (drill.verdict, drill.reasons) == (Verdict.PASS, [])
    assert drill.figures["resync_p95<5s"] == pytest.approx(1600, rel=0.02)
    assert drill.figures["loss<0.1%"] == 0


def test_slos_are_on_the_outages_on_those_who_stayed_and_on_losses() -> None:
    late = record(clients=client(5200.0))
    assert (late.verdict, late.signals) == (Verdict.FAIL, ["resync_p95"])
    felt = record(watch(unaffected=make.histogram(*[400.0] * 100)))
    assert (felt.verdict, felt.signals) == (Verdict.FAIL, ["deliver_p99"])
    lossy = record(clients=client(lost=600, received=10_800))
    assert (lossy.verdict, lossy.signals) == (Verdict.FAIL, ["loss"])
    assert lossy.unaffected_lost == 600
    assert lossy.unaffected_lost_share == pytest.approx(600 / 11_400)


def test_users_that_are_not_back_fail_the_drill() -> None:
    gone = record(watch(resynced=30, over=False), time=timeline(100, 70, 70))
    assert gone.verdict is Verdict.FAIL
    assert gone.reasons == ["only 30 of 40 dropped users resynced within 5 s"]


def test_latency_that_stays_high_fails_the_drill() -> None:
    slow = record(time=timeline(100, 100, p99_ms=900.0))
    assert (slow.verdict, slow.recovered_seconds) == (Verdict.FAIL, None)
    assert slow.reasons == ["users or latency were not as before within 5 s after the command"]


def test_no_resync_is_missing_data_only_if_a_user_was_dropped() -> None:
    assert record(untouched(), clients=make.client()).verdict is Verdict.PASS
    unknown = record(clients=make.client())
    assert (unknown.verdict, unknown.causes) == (Verdict.INVALID, [Cause.MISSING])


@pytest.mark.parametrize(
    "clients",
    [
        client(workers=(make.worker(cpu=0.97),)),
        client(workers=(make.worker(loop_lag_p99_ms=80.0),)),
        client(faults=(Fault(FaultKind.PORTS, "", 20),)),
    ],
    ids=["cpu", "lag", "fault"],
)
def test_a_fault_of_the_load_generator_makes_a_drill_invalid(clients: object) -> None:
    drill = record(watch(resynced=30, over=False), clients=clients)  # type: ignore[arg-type]
    assert drill.verdict is Verdict.INVALID
    assert drill.causes[0] is Cause.GENERATOR


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (CommandOutcome(3, None, "no such image"), "the command failed with exit code 3: no such image"),
        (CommandOutcome(137, None, ""), "the command failed with exit code 137"),
        (CommandOutcome(None, 600.0, "waiting"), "the command did not end within 600 s (--command-timeout): waiting"),
    ],
)
def test_a_command_that_fails_or_does_not_end_makes_a_drill_invalid(outcome: CommandOutcome, reason: str) -> None:
    drill = record(clients=client(9000.0), outcome=outcome)
    assert (drill.verdict, drill.reasons[0]) == (Verdict.INVALID, reason)
    assert drill.causes == [Cause.COMMAND, Cause.SERVER], "what was missed is still shown"
