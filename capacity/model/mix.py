"""Derive the mix of users from a production server's traffic. Pure.

The rate at which a user of each class acts is known. The rate of an action divided by it is the number of such users.
The remaining users chat at the rate of the remaining messages, or listen if there are none.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from capacity.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from capacity.model.traffic import Traffic

# Actions of one user per second, as in the load test; a test compares them with its user classes.
NOTICES_PER_TYPING_USER: Final = 2.5 / 13.5
MESSAGES_PER_TYPING_USER: Final = 1 / 13.5
UPLOADS_PER_UPLOADING_USER: Final = 1 / 10
DROPS_PER_STORMING_USER: Final = 0.5 / 30
_MIN_MESSAGE_RATE: Final = 0.001
_TOTAL_WEIGHT: Final = 100


@dataclass(frozen=True, slots=True)
class Mix:
    """The mix: weights by user class that add up to about 100, and the load of the chatting users."""

    weights: Mapping[str, int]
    message_rate: float | None
    room_size: int | None
    upload_bytes: int | None

    def _load_options(self) -> list[str]:
        options = []
        if self.room_size is not None:
            options += ["--room-size", str(self.room_size)]
        if self.message_rate is not None:
            options += ["--message-rate", f"{self.message_rate:.3g}"]
        if self.upload_bytes is not None:
            options += ["--upload-bytes", f"{max(1, round(self.upload_bytes / 1024))}k"]
        return options

    def capacity_options(self) -> str:
        """Return the mix as options of a capacity run."""
        mix = ",".join(f"{name}={weight}" for name, weight in self.weights.items())
        return " ".join(["--mix", mix, *self._load_options()])

    def locust_options(self) -> str:
        """Return the mix as options of Locust, quoted for a shell."""
        weights = [
            "'" + json.dumps({"user_class_name": name, "weight": weight}) + "'" for name, weight in self.weights.items()
        ]
        return " ".join([*self.weights, "--config-users", *weights, *self._load_options()])


def derive_mix(traffic: Traffic) -> Mix:
    """Return the mix that produces this traffic.

    Raises:
        UsageError: no user was connected.
    """
    remaining = traffic.connections
    if remaining < 1:
        raise UsageError("no user was connected in that time: there is nothing to derive a mix from")
    users: dict[str, float] = {}
    for name, number in (
        ("FileUploadUser", (traffic.uploads or 0.0) / UPLOADS_PER_UPLOADING_USER),
        ("TypingUser", (traffic.notices or 0.0) / NOTICES_PER_TYPING_USER),
        ("ReconnectStormUser", (traffic.vanished or 0.0) / DROPS_PER_STORMING_USER),
    ):
        users[name] = min(number, remaining)
        remaining -= users[name]
    messages = max(0.0, traffic.messages - users["TypingUser"] * MESSAGES_PER_TYPING_USER)
    do_chat = remaining > 0 and messages / remaining >= _MIN_MESSAGE_RATE
    users = {"ChattingUser" if do_chat else "ListeningUser": remaining} | users
    return Mix(
        weights=_weights(users),
        message_rate=messages / remaining if do_chat else None,
        room_size=None if traffic.room_size is None else max(2, round(traffic.room_size)),
        upload_bytes=None if traffic.upload_size is None else round(traffic.upload_size),
    )


def _weights(users: Mapping[str, float]) -> dict[str, int]:
    """Return weights that add up to about 100, at least 1 for each class that is present."""
    total = sum(users.values())
    present = {name: number for name, number in users.items() if number > total / 1e4}
    return {name: max(1, round(number / total * _TOTAL_WEIGHT)) for name, number in present.items()}
