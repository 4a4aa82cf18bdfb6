"""Lay out flame graphs: callers above their callees, each frame as wide as its share of the CPU time. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from capacity.formatting import count

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from capacity.record.profile import FlameFrame, ProfiledLevel, RunProfile

WIDE: Final = 860
NARROW: Final = 344
"""Widths of a drawing in CSS pixels, for desktops and for phones."""

_ROW: Final = 20
_CHARACTER: Final = 7.2  # wide enough for most letters of 12 pixels
_BOLD_CHARACTER: Final = 8.2
_PADDING: Final = 4
_SHORTEST_LABEL: Final = 3
_PALEST: Final = 0.16
_DARKEST: Final = 0.5


@dataclass(frozen=True, slots=True)
class Box:
    """A frame as it is drawn.

    Attributes:
        label: the function, as far as it fits; `title`: function, place and share.
        opacity: of its colour; the more time the function itself uses, the stronger.
        library: whether the code belongs to the runtime or to an installed package.
    """

    x: float
    y: int
    width: float
    label: str
    title: str
    opacity: float
    library: bool


@dataclass(frozen=True, slots=True)
class FlameGraph:
    """A flame graph in one width.

    Attributes:
        size: `wide` or `narrow`.
    """

    size: str
    width: int
    height: int
    boxes: list[Box]


@dataclass(frozen=True, slots=True)
class LevelChart:
    """The flame graph of a profiled level.

    Attributes:
        key: `passing` or `failing`.
        graphs: one for each width; none without samples.
    """

    key: str
    title: str
    note: str
    graphs: list[FlameGraph]


def level_charts(profile: RunProfile) -> list[LevelChart]:
    """Return the charts of the profiled levels."""
    levels = (("failing", "failed", profile.failing_level), ("passing", "passed", profile.passing_level))
    return [_level_chart(key, verdict, level) for key, verdict, level in levels if level is not None]


def _level_chart(key: str, verdict: str, level: ProfiledLevel) -> LevelChart:
    processes = "1 process" if level.processes == 1 else f"{level.processes} processes"
    graphs = [_graph("wide", WIDE, level.flame), _graph("narrow", NARROW, level.flame)] if level.flame else []
    return LevelChart(
        key=key,
        title=f"CPU time at {count(level.users)} users, which {verdict}",
        note=f"{count(level.samples)} samples of {processes} in {level.seconds:g} s",
        graphs=graphs,
    )


def _graph(size: str, width: int, frames: Sequence[FlameFrame]) -> FlameGraph:
    return FlameGraph(size, width, _ROW * (1 + max(frame.depth for frame in frames)), list(_boxes(frames, width)))


def _boxes(frames: Sequence[FlameFrame], width: int) -> Iterator[Box]:
    own = _own_shares(frames)
    left = [0.0] * (2 + max(frame.depth for frame in frames))  # where the next frame of each depth begins
    for frame, own_share in zip(frames, own, strict=True):
        x = left[frame.depth]
        left[frame.depth] += frame.share
        left[frame.depth + 1] = x
        pixels = frame.share * width
        yield Box(
            x=round(x * width, 2),
            y=_ROW * frame.depth,
            width=round(pixels, 2),
            label=_label(frame, pixels),
            title=_title(frame),
            opacity=round(_PALEST + (_DARKEST - _PALEST) * own_share, 2),
            library=frame.library,
        )


def _own_shares(frames: Sequence[FlameFrame]) -> list[float]:
    """Return the share of each frame without its callees."""
    own = [frame.share for frame in frames]
    callers: list[int] = []  # positions of the frames above the current one
    for i, frame in enumerate(frames):
        del callers[frame.depth :]
        if callers:
            own[callers[-1]] -= frame.share
        callers.append(i)
    return [max(0.0, share) for share in own]


def _label(frame: FlameFrame, pixels: float) -> str:
    """Return the function with its share if both fit, else as much of its name as fits."""
    room = int((pixels - 2 * _PADDING) / (_CHARACTER if frame.library else _BOLD_CHARACTER))
    name = frame.function
    full = f"{name} {frame.share * 100:.0f} %"
    if len(full) <= room:
        return full
    if len(name) <= room:
        return name
    return f"{name[: room - 1]}…" if room > _SHORTEST_LABEL else ""


def _title(frame: FlameFrame) -> str:
    place = f", {frame.file}:{frame.line}" if frame.file is not None else ""
    return f"{frame.function}{place}, {frame.share * 100:.1f} %"
