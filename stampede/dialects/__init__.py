"""The wire protocols of servers, as the load generator needs to know them; pure.

These are the names for a dialect of your own:

    from stampede.dialects import Conversation, Dialect, Joined, Opened, Refused
"""

from __future__ import annotations

from stampede.dialects.base import Conversation, Dialect, Feature, Message, UpgradeRequest
from stampede.dialects.events import Acknowledged, Answer, Closed, Delivery, Event, Joined, Left, Opened, Pong, Refused

__all__ = [
    "Acknowledged",
    "Answer",
    "Closed",
    "Conversation",
    "Delivery",
    "Dialect",
    "Event",
    "Feature",
    "Joined",
    "Left",
    "Message",
    "Opened",
    "Pong",
    "Refused",
    "UpgradeRequest",
]
