from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from capacity.cli.interrupts import Stops
from capacity.errors import ExitCode, StoppedError

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def stops() -> Iterator[Stops]:
    """Give the signals back to the test run afterwards."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield Stops()
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, ExitCode.INTERRUPTED), (signal.SIGTERM, ExitCode.TERMINATED)]
)
def test_what_comes_while_it_is_heeded_stops_once(stops: Stops, number: signal.Signals, code: ExitCode) -> None:
    stops.heed()
    with pytest.raises(StoppedError) as stopped:
        signal.raise_signal(number)
    assert stopped.value.exit_code is code
    signal.raise_signal(number)  # impatience changes nothing


def test_what_comes_between_is_not_lost(stops: Stops) -> None:
    stops.remember()
    signal.raise_signal(signal.SIGINT)
    with pytest.raises(StoppedError, match="Ctrl-C"):
        stops.heed()
