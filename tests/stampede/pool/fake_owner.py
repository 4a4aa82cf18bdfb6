"""Stands in for a Locust user whose greenlet runs a session."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gevent.event import Event

if TYPE_CHECKING:
    from stampede.pool.session import Session


class FakeOwner:
    """An owner without a greenlet."""

    def __init__(self) -> None:
        self.wake = Event()
        self.session: Session | None = None
