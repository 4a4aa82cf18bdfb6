"""A server with `--workers` that is stopped while it starts.

Run it with `python -m tests.promises.stop_during_start MOMENT [settings]`.

Moments: `bus`, before NATS is ready; `workers`, before the first worker is ready; `hung`, while NATS never gets ready.
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


async def _stop_before_nats(nats: EmbeddedNats, process: Process) -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    await _nats_ready(nats, process)


async def _stop_before_a_worker(workers: Supervisor, number: int, process: Process) -> None:
    if number == 0:
        os.kill(os.getpid(), signal.SIGTERM)
    await _worker_ready(workers, number, process)


async def _stop_while_nats_hangs(_nats: EmbeddedNats, process: Process) -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    await process.wait()
    raise EOFError


def main() -> int:
    """Install the signal and start the server."""
    moment, *settings = sys.argv[1:]
    if moment == "bus":
        EmbeddedNats._ready = _stop_before_nats  # type: ignore[method-assign, assignment]
    elif moment == "workers":
        Supervisor._ready = _stop_before_a_worker  # type: ignore[method-assign, assignment]
    else:
        EmbeddedNats._ready = _stop_while_nats_hangs  # type: ignore[method-assign, assignment]
    return run(parse(settings, os.environ), settings)


if __name__ == "__main__":
    sys.exit(main())
