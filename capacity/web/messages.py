"""What a run tells the process that serves its live page, and how it is sent through a pipe.

Both ends run the same code as the same user, so pickles are safe here. The pipe is not reachable for anyone else.
"""

from __future__ import annotations

import pickle
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

    from capacity.record.report import RunReport

_LENGTH: Final = struct.Struct(">Q")


@dataclass(frozen=True, slots=True)
class Progress:
    """What a run does now.

    Attributes:
        activity: such as `step 3: 800 users, ramp`; `phase`: of that step, such as `measuring`.
        phase_ends: when the phase is expected to end; None if unknown. All times are of the monotonic clock in seconds.
        budget_ends: when the time limit of the run passes; None before the first step.
        figures: label and text of the current figures.
    """

    activity: str
    phase: str = ""
    phase_ends: float | None = None
    budget_ends: float | None = None
    figures: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class NewReport:
    """There are new measurements: `make` returns the report with them."""

    make: Callable[[], RunReport]


@dataclass(frozen=True, slots=True)
class End:
    """The run has ended.

    Attributes:
        text: how, and where its report is.
        page, data: `report.html` and `report.json`; None if there is no report.
    """

    text: str
    page: bytes | None = None
    data: bytes | None = None


Message: TypeAlias = Progress | NewReport | End


def encode(message: Message) -> bytes:
    """Return a message as bytes, with their number before them."""
    content = pickle.dumps(message)
    return _LENGTH.pack(len(content)) + content


def read_message(source: BinaryIO) -> Message | None:
    """Wait for a message; None if the other end has ended."""
    header = source.read(_LENGTH.size)
    if len(header) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(header)
    content = source.read(length)
    if len(content) < length:
        return None
    message: Message = pickle.loads(content)  # noqa: S301 - of our own parent process
    return message
