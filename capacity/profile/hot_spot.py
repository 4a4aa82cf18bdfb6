"""Choose the function or the call that the answer names as the place where the CPU time goes. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from capacity.profile.paths import python_module
from capacity.profile.stacks import ranked

if TYPE_CHECKING:
    from capacity.profile.stacks import Frame, Profile, Stack
    from capacity.record.profile import HotFunction


def find_hot_spot(profile: Profile) -> HotFunction | None:
    """Return the function with the largest share of the samples; None without samples.

    A function of a library counts as the call from the server's own code that led to it, such as `json.dumps` at the
    line of the caller, with all that the call does. A library that calls the server's code, such as an event loop,
    calls it for the server: its functions count as themselves.
    """
    hosts = _hosts(profile)
    found = ranked((*_blamed(stack, hosts), cpu_ms) for stack, cpu_ms in profile.stacks.items())
    return found[0] if found else None


def _hosts(profile: Profile) -> set[tuple[str, str | None]]:
    """Return the library functions that call the server's own code, directly or through others."""
    found = set()
    for stack in profile.stacks:
        own = _last_own(stack)
        found |= {frame.key for frame in stack[: max(own, 0)] if frame.library}
    return found


def _blamed(stack: Stack, hosts: set[tuple[str, str | None]]) -> tuple[str, Frame]:
    """Return the name of the function or call that a sample counts for, and the frame of its place."""
    own = _last_own(stack)
    if 0 <= own < len(stack) - 1 and stack[own + 1].key not in hosts:
        return _qualified(stack[own + 1]), stack[own]
    return stack[-1].function, stack[-1]


def _last_own(stack: Stack) -> int:
    """Return the index of the innermost frame of the server's own code, or -1."""
    return next((i for i in range(len(stack) - 1, -1, -1) if not stack[i].library), -1)


def _qualified(frame: Frame) -> str:
    module = python_module(frame.file or "")
    return f"{module}.{frame.function}" if module else frame.function
