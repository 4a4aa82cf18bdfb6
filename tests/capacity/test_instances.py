"""Capacity runs of a server of two instances, which a bus connects or not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.capacity.run_options import TOLERANT

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.capacity.fixtures import Run
    from tests.processes import RunningServer
    from tests.server.cluster.fixtures import Nats

INVALID = 98
MOST_RUNS = 3  # a busy machine makes a run invalid
# A delivery is lost after five to ten seconds, which is longer than the window.
MISSING = ("loss only between addresses", "no delivery between addresses arrived, and nearly all within an address")
BUS = "the bus between the instances does not deliver"


@pytest.mark.parametrize("is_cut", [False, True], ids=["bus", "bus cut"])
def test_a_bounded_run_names_the_bus_that_does_not_deliver(
    capacity: Callable[..., Run], two: tuple[RunningServer, RunningServer], nats: Nats, is_cut: bool
) -> None:
    if is_cut:
        nats.kill()
    addresses = [server.url.removeprefix("ws://") for server in two]
    flags = ("--host", two[0].url, "--connect-to", ",".join(addresses), "--slo", "loss<0.1%", "--window", "2")
    for _ in range(MOST_RUNS):
        run = capacity("--bounded", "8", *TOLERANT, "--room-size", "4", *flags)
        if run.wait() != INVALID:
            break
    assert run.wait() == (99 if is_cut else 0), run.errors
    report = run.report
    assert any("give the page of each with --metrics" in text for text in report.missing)
    (step,) = report.steps
    assert report.address_pairs == step.address_pairs
    assert [(pair.sender, pair.receiver) for pair in report.address_pairs] == [
        (sender, receiver) for sender in sorted(addresses) for receiver in sorted(addresses)
    ]
    assert sum(pair.expected for pair in report.address_pairs) == step.expected
    assert sum(pair.received for pair in report.address_pairs) == step.received
    assert sum(pair.lost for pair in report.address_pairs) == step.lost
    within = [pair for pair in report.address_pairs if pair.is_within]
    assert all(pair.received and not pair.lost for pair in within)
    page = (run.folder / "report.html").read_text()
    assert '<section id="addresses">' in page
    if not is_cut:
        assert step.lost == 0
        return
    assert not any(pair.received for pair in report.address_pairs if not pair.is_within)
    assert report.answer.limited_by == "bus between the instances"
    assert report.answer.evidence[0] in {f"{what}: {BUS}" for what in MISSING}
    assert report.answer.evidence[0] in report.answer.sentence
