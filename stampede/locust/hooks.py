"""What a scenario may override, beside its tasks, to fit a server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stampede.dialects.stampede import StampedeDialect

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stampede.client.credentials import Credentials
    from stampede.dialects.base import Dialect


class ServerHooks:
    """Steps that a server may need before a connection, before a join, or in place of a chat message."""

    def login(self) -> Credentials | None:
        """Log in before each connection attempt, for example with `self.http`; by default use the account's token.

        An HTTP request is counted under its own name. An exception counts as one of a task, and the attempt is repeated
        after the backoff.

        Returns:
            What to add to the upgrade request; None to add the token of `--token`, `--token-file` or `--credentials`.
        """
        return None

    def join_room(self, room: str) -> bool:
        """Prepare the join of a room, for example by an HTTP request; return whether the user may join it."""
        return True

    def send_message(self, room: str, text: str) -> bool:
        """Send a chat message over HTTP, if the server takes them there; return whether it has accepted the text.

        The text must arrive unchanged at the other members, since it contains the stamp. Override this only for such a
        server: by default, messages go over the connection as the dialect says.
        """
        raise NotImplementedError


def is_chat_class(user_class: type) -> bool:
    """Return whether users of a class join rooms; those of a client of another protocol do not."""
    return issubclass(user_class, ServerHooks)


def can_check(user_classes: Iterable[type], dialect: Dialect) -> bool:
    """Return whether a check can do what the users do: no class has code of the scenario that the check would need."""
    needed = ["login"] if isinstance(dialect, StampedeDialect) else ["login", "join_room", "send_message"]
    return not any(
        is_chat_class(user_class) and getattr(user_class, name) is not getattr(ServerHooks, name)
        for user_class in user_classes
        for name in needed
    )
