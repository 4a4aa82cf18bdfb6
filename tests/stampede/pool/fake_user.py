"""Stands in for the Locust user of a session."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stampede.workload.backoff import Backoff, Policy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stampede.client.credentials import Credentials
    from stampede.dialects.base import Conversation


class FakeUser:
    """A user without a greenlet, which reconnects at once."""

    post = None

    @property
    def user_class(self) -> type:
        return type(self)

    def credentials(self, rooms: Sequence[str]) -> Credentials | None:
        return None

    def prepare_join(self, room: str, conversation: Conversation) -> bool:
        """Do nothing: the server needs no preparation."""
        return False

    def reconnect_backoff(self) -> Backoff:
        return Backoff(Policy.NONE)
