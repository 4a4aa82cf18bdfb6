"""`--workers` that is told to end while it starts: `python -m tests.promises.early_end MOMENT [settings]`.

Moments: `bus`, while NATS is not up; `workers`, while the first worker is not up; `hung`, while NATS is not up and will
never be.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

from server.app import run
from server.settings import parse
from server.supervisor.embedded_nats import EmbeddedNats
from server.supervisor.supervisor import Supervisor

if TYPE_CHECKING:
    from asyncio.subprocess import Process

_nats_ready = EmbeddedNats._ready
_worker_ready = Supervisor._ready


async def _end_before_the_bus(nats: EmbeddedNats, process: Process) -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    await _nats_ready(nats, process)


async def _end_before_a_worker(workers: Supervisor, number: int, process: Process) -> None:
    if number == 0:
        os.kill(os.getpid(), signal.SIGTERM)
    await _worker_ready(workers, number, process)


async def _end_before_a_bus_that_never_comes(_nats: EmbeddedNats, process: Process) -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    await process.wait()
    raise EOFError


def main() -> int:
    """Prepare the signal, then serve."""
    moment, *settings = sys.argv[1:]
    if moment == "bus":
        EmbeddedNats._ready = _end_before_the_bus  # type: ignore[method-assign, assignment]
    elif moment == "workers":
        Supervisor._ready = _end_before_a_worker  # type: ignore[method-assign, assignment]
    else:
        EmbeddedNats._ready = _end_before_a_bus_that_never_comes  # type: ignore[method-assign, assignment]
    return run(parse(settings, os.environ), settings)


if __name__ == "__main__":
    sys.exit(main())
