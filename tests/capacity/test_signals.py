from __future__ import annotations

import contextlib
import signal
from typing import TYPE_CHECKING

import pytest

from capacity.errors import ExitCode, InterruptedRunError
from capacity.signals import Interrupts

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def interrupts() -> Iterator[Interrupts]:
    """Restore the signal handlers after the test."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield Interrupts()
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, ExitCode.INTERRUPTED), (signal.SIGTERM, ExitCode.TERMINATED)]
)
def test_an_enabled_signal_interrupts_once(interrupts: Interrupts, number: signal.Signals, code: ExitCode) -> None:
    interrupts.enable()
    with pytest.raises(InterruptedRunError) as stopped:
        signal.raise_signal(number)
    assert stopped.value.exit_code is code
    signal.raise_signal(number)  # deferred


def test_a_deferred_signal_is_not_lost(interrupts: Interrupts) -> None:
    interrupts.defer()
    signal.raise_signal(signal.SIGINT)
    with pytest.raises(InterruptedRunError, match="Ctrl-C"):
        interrupts.enable()


def test_code_that_ignores_exceptions_does_not_ignore_a_signal(interrupts: Interrupts) -> None:
    interrupts.enable()
    with pytest.raises(InterruptedRunError), contextlib.suppress(Exception):
        signal.raise_signal(signal.SIGINT)
