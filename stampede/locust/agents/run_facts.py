"""Facts about a test that the summary tells besides its figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from locust import User

    from stampede.locust.settings import LoadTestSettings


def scenario_of(user_classes: Iterable[type[User]]) -> str:
    """Return the user classes and their weights, such as `ChattingUser=10,TypingUser=5`."""
    return ",".join(f"{user_class.__name__}={user_class.weight:g}" for user_class in user_classes)


def notes_on(
    settings: LoadTestSettings | None, user_classes: Iterable[type[User]], seconds: float, reset_at: float | None
) -> Iterator[str]:
    """Yield what a reader of the figures must know.

    Args:
        settings: of the test; None if there was none.
        user_classes: of the test.
        seconds: length of the test.
        reset_at: when the statistics were last reset, in seconds since the test began; None if they were not.
    """
    if reset_at is not None:
        yield f"statistics were reset {reset_at:.0f} s after the start: all figures count from there"
    if settings is None or seconds >= settings.storm_period:
        return
    for user_class in user_classes:
        if getattr(user_class, "drops_periodically", False):
            yield (
                f"no storm: {user_class.__name__}s drop every {settings.storm_period:g} s (--storm-period), "
                f"the test took {seconds:.0f} s"
            )
