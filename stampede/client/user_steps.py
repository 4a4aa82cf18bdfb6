"""What a user does beside the messages of its dialect: it logs in, prepares joins, and may send messages over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from stampede.client.credentials import Credentials
    from stampede.dialects.base import Conversation


class UserSteps(Protocol):
    """The steps of one user."""

    @property
    def post(self) -> Callable[[str, str], bool] | None:
        """Sends a text to a room in place of the connection, if the server takes messages over HTTP; else None."""

    def credentials(self, rooms: Sequence[str]) -> Credentials | None:
        """Log in before a connection attempt; return what to connect with, or None for the token of the account.

        Raises:
            ClientError: the login failed.
        """

    def prepare_join(self, room: str, conversation: Conversation) -> bool:
        """Prepare the join of a room, for example by an HTTP request; return whether the server has confirmed it.

        Raises:
            ClientError: the room cannot be joined.
        """


class NoSteps:
    """The steps of a user without any."""

    post = None

    def credentials(self, rooms: Sequence[str]) -> Credentials | None:
        """Return None: the user connects with the token of its account."""
        return None

    def prepare_join(self, room: str, conversation: Conversation) -> bool:
        """Do nothing: the messages of the dialect suffice."""
        return False
