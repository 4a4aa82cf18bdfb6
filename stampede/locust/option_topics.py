"""The topics of the load test's options, in the order in which the help shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

FIRST: Final = ("dialect", "room-size", "message-rate", "threshold", "token")
"""The options that most people need first. The help shows them before all topics."""

TOPICS: Final[Mapping[str, tuple[str, ...]]] = {
    "rooms and messages": (
        "rooms",
        "room-size",
        "rooms-per-user",
        "message-rate",
        "arrivals",
        "message-bytes",
        "upload-bytes",
        "seed",
    ),
    "load shapes": ("shape",),
    "storms and reconnects": ("storm-share", "storm-period", "storm-manner", "backoff", "churn-per-minute"),
    "the server and its protocol": ("dialect", "path", "http-host", "connect-to", "join-grace"),
    "TLS, tokens and headers": ("ca-file", "insecure", "origin", "header", "token", "token-file", "credentials"),
    "measurement": ("timed-share", "timed-users", "batch-interval"),
    "verdict and results": ("threshold", "threshold-window", "summary-json", "junit", "prometheus-port"),
}
"""The options of each topic."""


def topic_of(name: str) -> str:
    """Return the topic of an option."""
    (topic,) = (topic for topic, names in TOPICS.items() if name in names)
    return topic
