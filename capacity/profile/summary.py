"""Summarise the profiles of a run for its report. Pure."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from capacity.profile.hot_spot import find_hot_spot
from capacity.record.profile import FlameFrame, HotFunction, ProfiledLevel, RunProfile
from capacity.record.step import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from capacity.profile.stacks import Frame, Profile

FUNCTIONS: Final = 20
"""Functions of each level that the report lists."""

_SMALLEST_SHARE: Final = 0.005
_DEEPEST: Final = 100


@dataclass(frozen=True, slots=True)
class LevelProfile:
    """The profile of a level: its users, its duration, and the number of processes."""

    users: int
    seconds: float
    processes: int
    profile: Profile


def summarise(profiles: Mapping[Verdict, LevelProfile]) -> RunProfile:
    """Return the summary of the profiles, by the verdict on their level."""
    passing, failing = profiles.get(Verdict.PASS), profiles.get(Verdict.FAIL)
    functions = [_functions(level) for level in (passing, failing)]
    listed = {key for found in functions for key in list(found)[:FUNCTIONS]}
    passing_functions, failing_functions = (
        [one for key, one in found.items() if key in listed] if level is not None else None
        for level, found in zip((passing, failing), functions, strict=True)
    )
    return RunProfile(
        passing=passing_functions,
        failing=failing_functions,
        passing_level=_level(passing),
        failing_level=_level(failing),
        hot_spot=find_hot_spot(failing.profile) if failing is not None else None,
    )


def _functions(level: LevelProfile | None) -> dict[tuple[str, str | None], HotFunction]:
    return {} if level is None else {(one.function, one.file): one for one in level.profile.functions()}


def _level(level: LevelProfile | None) -> ProfiledLevel | None:
    if level is None:
        return None
    return ProfiledLevel(
        users=level.users,
        seconds=round(level.seconds, 1),
        processes=level.processes,
        samples=level.profile.samples,
        flame=flame_frames(level.profile),
    )


@dataclass(slots=True)
class _Node:
    """A frame with its callees: CPU time in it and below it, in total and by line."""

    frame: Frame
    cpu_ms: float = 0.0
    lines: defaultdict[int | None, float] = field(default_factory=lambda: defaultdict(float))
    callees: dict[tuple[str, str | None], _Node] = field(default_factory=dict)


def flame_frames(profile: Profile) -> list[FlameFrame]:
    """Return the frames of a flame graph that have at least half a percent of the samples, down to a limit of depth."""
    roots: dict[tuple[str, str | None], _Node] = {}
    for stack, cpu_ms in profile.stacks.items():
        callees = roots
        for frame in stack[:_DEEPEST]:
            node = callees.setdefault(frame.key, _Node(frame))
            node.cpu_ms += cpu_ms
            node.lines[frame.line] += cpu_ms
            callees = node.callees
    return list(_frames(roots, profile.cpu_ms, depth=0))


def _frames(nodes: dict[tuple[str, str | None], _Node], total_ms: float, depth: int) -> Iterator[FlameFrame]:
    for node in sorted(nodes.values(), key=lambda one: (-one.cpu_ms, one.frame.function)):
        share = node.cpu_ms / total_ms
        if share < _SMALLEST_SHARE:
            return
        yield FlameFrame(
            depth=depth,
            function=node.frame.function,
            file=node.frame.file,
            line=max(node.lines, key=lambda line: node.lines[line]),
            share=share,
            library=node.frame.library,
        )
        yield from _frames(node.callees, total_ms, depth + 1)
