"""Find out which workers have lost their master: from Locust's heartbeats, and from the connections themselves."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any, Final

import zmq
from locust import runners
from locust.rpc import Message
from locust.runners import MasterRunner

from stampede.measure.snapshot import WorkerState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from locust.runners import LocalRunner

_SILENT_S: Final = 1.5
"""Age of the last report from which the connection of a worker is checked: it reports twice a second."""


def lost_workers(runner: LocalRunner | MasterRunner, ages: Mapping[str, float]) -> dict[str, WorkerState]:
    """Return the workers that are not connected any more, with their states.

    Locust notices a missing worker only after four seconds without a heartbeat, and cannot tell whether it has ended.

    Args:
        runner: of Locust.
        ages: seconds since the last report of each worker, by id.
    """
    if not isinstance(runner, MasterRunner):
        return {}
    listed = {client.id: client.state for client in runner.clients.all}
    found = {}
    for id_, age_s in ages.items():
        if id_ not in listed or (age_s > _SILENT_S and not _is_reachable(runner, id_)):
            found[id_] = WorkerState.ENDED
        elif listed[id_] == runners.STATE_MISSING:
            found[id_] = WorkerState.MISSING
    return found


def _is_reachable(runner: MasterRunner, id_: str) -> bool:
    """Return whether the connection of a worker is open, by sending it a heartbeat, as Locust does each second."""
    message: Any = Message  # Locust does not annotate these
    socket: Any = runner.server.socket
    socket.setsockopt(zmq.ROUTER_MANDATORY, 1)  # otherwise messages to an unknown peer are dropped silently
    try:
        socket.send_multipart([id_.encode(), message("heartbeat", None, id_).serialize()], zmq.NOBLOCK)
    except zmq.ZMQError as error:
        return error.errno != errno.EHOSTUNREACH
    finally:
        socket.setsockopt(zmq.ROUTER_MANDATORY, 0)
    return True
