"""A chatting user whose dialect promises no common order of the messages of different senders."""

from __future__ import annotations

from loadtest.chatting import ChattingUser
from stampede.dialects.stampede import StampedeDialect


class Unordered(StampedeDialect):
    """The bundled server's protocol, without its promise for one process."""

    name = "unordered"
    keeps_order = False


class UnorderedUser(ChattingUser):
    """Chats with a server of several processes."""

    dialect = Unordered()
