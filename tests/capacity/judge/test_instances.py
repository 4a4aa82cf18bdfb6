"""Loss between the instances of a server is told apart from other loss, and names the bus."""

from __future__ import annotations

import pytest

from capacity.judge.bottleneck import find_bottleneck
from capacity.judge.instances import bus_reasons
from capacity.record.step import Verdict
from stampede.ledger.counts import DeliveryCounts
from stampede.measure.address_pairs import AddressPair
from tests.capacity import make
from tests.capacity.judge.judging import verdict

A, B = "10.0.0.1", "10.0.0.2"
NOTHING = "loss only between addresses: the bus between the instances does not deliver"
SOME = f"{NOTHING} all messages"
NOT_YET = (
    "no delivery between addresses arrived, and nearly all within an address: "
    "the bus between the instances does not deliver"
)


def reasons(within: tuple[int, int, int], between: tuple[int, int, int]) -> list[str]:
    """Return the reasons, given deliveries expected, received and lost within an address and between two."""
    return [reason.text for reason in bus_reasons([AddressPair(A, A, *within), AddressPair(A, B, *between)])]


@pytest.mark.parametrize(
    ("within", "between", "text"),
    [
        ((100, 99, 0), (200, 0, 150), NOTHING),
        ((100, 99, 0), (200, 80, 120), SOME),
        ((100, 99, 0), (200, 0, 0), NOT_YET),
        ((100, 99, 0), (200, 190, 0), ""),
        ((100, 98, 1), (200, 0, 150), ""),
        ((100, 50, 0), (200, 0, 150), ""),
        ((0, 0, 0), (200, 0, 200), ""),
    ],
    ids=["cut", "leaking", "not yet lost", "healthy", "loss within, too", "backlog within, too", "nothing within"],
)
def test_the_bus_is_named_if_deliveries_are_missing_between_addresses_only(
    within: tuple[int, int, int], between: tuple[int, int, int], text: str
) -> None:
    assert reasons(within, between) == ([text] if text else [])


def test_a_step_that_loses_between_addresses_fails_because_of_the_bus() -> None:
    pairs = {A: {A: DeliveryCounts(3800, 3800), B: DeliveryCounts(7600, 0, 7600)}}
    found = verdict(received=3800, lost=7600, address_pairs=pairs)
    assert found.verdict is Verdict.FAIL
    assert [reason.signal for reason in found.reasons] == ["bus", "loss"]
    step = make.step(
        100,
        "fail",
        reasons=[reason.text for reason in found.reasons],
        signals=[reason.signal for reason in found.reasons],
    )
    bottleneck = find_bottleneck(step)
    assert (bottleneck.name, bottleneck.evidence[0]) == ("bus between the instances", NOTHING)


def test_a_failure_without_loss_does_not_name_the_bus() -> None:
    pairs = {A: {A: DeliveryCounts(3800, 3800), B: DeliveryCounts(7600, 7599, 1)}}
    slow = verdict(latency_intended=make.histogram(*[812.0] * 100), address_pairs=pairs)
    assert [reason.signal for reason in slow.reasons] == ["deliver_p99"]
