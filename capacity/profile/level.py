"""Profile the server at a level of users, after the search: no measurement is disturbed by the profiler."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from capacity.formatting import count
from capacity.profile.summary import LevelProfile

if TYPE_CHECKING:
    from capacity.profile.profiler import Profiler

PROFILE_S: Final = 8.0
"""Duration of the profile of a level."""


class Runner(Protocol):
    """The part of the runner of steps that a profile uses."""

    def approach(self, users: int) -> None: ...

    def watch(self, seconds: float) -> None: ...


class ProfileObserver(Protocol):
    """Receives the progress of a profile."""

    def message(self, text: str) -> None: ...

    def phase(self, name: str, seconds: float) -> None: ...


def profile_level(
    users: int, runner: Runner, profiler: Profiler, observer: ProfileObserver
) -> tuple[LevelProfile, list[str]]:
    """Hold a level and profile the server; return the profile, and notes on what it omits.

    Raises:
        ProfileError: the server cannot be profiled.
        RunError: the server or the load generator has ended.
    """
    runner.approach(users)
    observer.message(f"profiling the server at {count(users)} users for {PROFILE_S:.0f} s")
    observer.phase("profiling", PROFILE_S)
    profiled = profiler.sample(PROFILE_S, runner.watch)
    level = LevelProfile(users, PROFILE_S, profiled.processes, profiled.profile)
    return level, [f"the profile of {count(users)} users is incomplete: {text}" for text in profiled.omitted]
