"""Users that compose messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stampede import Feature, ScheduledUser

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class TypingUser(ScheduledUser):
    """Sends one to four `typing` notices three seconds apart, then a chat message, then pauses six seconds on average.

    A notice that cannot be sent at its due time is dropped, because a late one is wrong.
    """

    weight = 5
    required_features = frozenset({Feature.TYPING})

    def schedule(self) -> Iterator[tuple[float, Callable[[], Any]]]:
        """Yield the due times of notices and messages; the first cycle begins at a random point."""
        rng = self.rng("composing")
        at = -rng.uniform(0, 14)
        while True:
            for _ in range(rng.randint(1, 4)):
                if at >= 0:
                    yield at, self.chat.typing
                at += 3
            if at >= 0:
                yield at, self.chat.say
            at += rng.expovariate(1 / 6)
