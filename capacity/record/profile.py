"""The profile of a server's CPU, as `report.json` keeps it."""

from __future__ import annotations

import msgspec


class HotFunction(msgspec.Struct, frozen=True, kw_only=True):
    """A function and its share of the server's CPU samples.

    Attributes:
        function: name of the function.
        file: relative to the server's folder or to the package's; None for code without a source file.
        line: the line of the function that most samples are of.
        share: without the functions that it calls, from 0 to 1.
    """

    function: str
    file: str | None
    line: int | None
    share: float


class FlameFrame(msgspec.Struct, frozen=True, kw_only=True):
    """One frame of a flame graph; a frame's callees follow it, one level deeper, in falling order of their shares.

    Attributes:
        depth: number of callers above the frame.
        function, file, line: as in a function.
        share: with the functions that it calls, from 0 to 1.
        library: whether the code belongs to the runtime or to an installed package.
    """

    depth: int
    function: str
    file: str | None
    line: int | None
    share: float
    library: bool


class ProfiledLevel(msgspec.Struct, frozen=True, kw_only=True):
    """How a level was profiled.

    Attributes:
        users: users of the level.
        seconds: duration of the profile.
        processes: number of profiled processes.
        samples: number of CPU samples; idle threads have none.
        flame: the flame graph, without frames below half a percent.
    """

    users: int
    seconds: float
    processes: int
    samples: int
    flame: list[FlameFrame]


class RunProfile(msgspec.Struct, frozen=True, kw_only=True):
    """Where the server's CPU time goes at the highest level that passed and at the lowest that failed.

    Attributes:
        passing, failing: functions in falling order of their shares: the first ones of both levels; None if the level
            was not profiled.
        passing_level, failing_level: how the two levels were profiled.
        hot_spot: the function or the call that the answer names, from the failing level.
    """

    passing: list[HotFunction] | None = None
    failing: list[HotFunction] | None = None
    passing_level: ProfiledLevel | None = None
    failing_level: ProfiledLevel | None = None
    hot_spot: HotFunction | None = None
