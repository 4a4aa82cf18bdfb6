"""Sampled call stacks: read from the formats of profilers, and counted by function. Pure."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec

from capacity.profile.paths import is_library, short_path
from capacity.record.profile import HotFunction

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_PY_SPY_FRAME: Final = re.compile(r"(.+?) \((.+):(\d+)\)")
_LOCALS: Final = "<locals>."
_COMPREHENSIONS: Final = ("<genexpr>", "<listcomp>", "<setcomp>", "<dictcomp>")
_ROOT: Final = "(root)"
_IDLE: Final = "(idle)"


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of a stack.

    Attributes:
        file, line: None for code without a source file, such as a garbage collection.
        library: whether the code belongs to the runtime or to an installed package.
    """

    function: str
    file: str | None
    line: int | None
    library: bool

    @property
    def key(self) -> tuple[str, str | None]:
        """What identifies the function, on whatever line of it."""
        return self.function, self.file


Stack: TypeAlias = tuple[Frame, ...]
"""The frames of a thread at one moment, the outermost first."""


@dataclass(frozen=True, slots=True)
class Profile:
    """The CPU samples of a server.

    Attributes:
        stacks: CPU time in milliseconds by stack.
        samples: number of samples.
    """

    stacks: Mapping[Stack, float]
    samples: int

    @property
    def cpu_ms(self) -> float:
        """CPU time of all samples."""
        return sum(self.stacks.values())

    def functions(self) -> list[HotFunction]:
        """Return every function that has samples of its own, in falling order of their shares."""
        return ranked((stack[-1].function, stack[-1], cpu_ms) for stack, cpu_ms in self.stacks.items())


def ranked(samples: Iterable[tuple[str, Frame, float]]) -> list[HotFunction]:
    """Return functions in falling order of their shares, each with the line of its file that most samples are of.

    Args:
        samples: name of the function, the frame of its place, and CPU time.
    """
    lines: defaultdict[tuple[str, str | None], defaultdict[int | None, float]]
    lines = defaultdict(lambda: defaultdict(float))
    for function, place, cpu_ms in samples:
        lines[function, place.file][place.line] += cpu_ms
    total = sum(sum(counts.values()) for counts in lines.values())
    found = [
        HotFunction(
            function=function,
            file=file,
            line=max(counts, key=lambda line: counts[line]),
            share=sum(counts.values()) / total,
        )
        for (function, file), counts in lines.items()
    ]
    return sorted(found, key=lambda one: (-one.share, one.function, one.file or ""))


def merged(profiles: Iterable[Profile]) -> Profile:
    """Return the profile of several processes together."""
    stacks: defaultdict[Stack, float] = defaultdict(float)
    samples = 0
    for profile in profiles:
        samples += profile.samples
        for stack, cpu_ms in profile.stacks.items():
            stacks[stack] += cpu_ms
    return Profile(dict(stacks), samples)


def parse_collapsed(text: str, *, folder: str, sample_ms: float) -> Profile:
    """Read the collapsed stacks that py-spy writes with `--format raw --full-filenames`.

    A comprehension or generator expression counts as the function that contains it.

    Args:
        text: one stack a line: frames with semicolons between them, then the number of samples.
        folder: working directory of the server.
        sample_ms: time between two samples.
    """
    stacks: Counter[Stack] = Counter()
    for line in text.splitlines():
        frames, _, count = line.rpartition(" ")
        stack = tuple(_python_frames(frames.split(";"), folder))
        if stack and count.isdecimal():
            stacks[stack] += int(count)
    return Profile({stack: count * sample_ms for stack, count in stacks.items()}, stacks.total())


def _python_frames(texts: Iterable[str], folder: str) -> Iterator[Frame]:
    """Return the frames of a stack; the parts that are none name a process or a thread."""
    caller = ""
    for text in texts:
        if (found := _PY_SPY_FRAME.fullmatch(text)) is None:
            continue
        function, path, line = found.groups()
        if function.endswith(_COMPREHENSIONS) and path == caller:
            continue
        caller = path
        yield Frame(function.rpartition(_LOCALS)[2], short_path(path, folder), int(line), is_library(path))


class _CallFrame(msgspec.Struct, rename="camel"):
    function_name: str
    url: str
    line_number: int


class _PositionTick(msgspec.Struct):
    line: int
    ticks: int


class _Node(msgspec.Struct, rename="camel"):
    id: int
    call_frame: _CallFrame
    hit_count: int = 0
    children: list[int] = []
    position_ticks: list[_PositionTick] = []


class CpuProfile(msgspec.Struct):
    """A profile of V8, as in a .cpuprofile file and as the inspector returns it."""

    nodes: list[_Node]


def read_cpu_profile(profile: CpuProfile, *, folder: str, sample_ms: float) -> Profile:
    """Read a profile of V8, without its idle samples.

    Args:
        profile: the profile.
        folder: working directory of the server.
        sample_ms: time between two samples.
    """
    nodes = {node.id: node for node in profile.nodes}
    parents = {child: node.id for node in profile.nodes for child in node.children}
    stacks: Counter[Stack] = Counter()
    for node in profile.nodes:
        if not node.hit_count or node.call_frame.function_name in (_ROOT, _IDLE):
            continue
        callers = tuple(_javascript_frame(nodes[one].call_frame, folder) for one in _ancestors(node.id, parents))
        own = _javascript_frame(node.call_frame, folder)
        for line, hits in _hits_by_line(node, own.line):
            stacks[*callers, Frame(own.function, own.file, line, own.library)] += hits
    return Profile({stack: count * sample_ms for stack, count in stacks.items()}, stacks.total())


def _ancestors(node: int, parents: Mapping[int, int]) -> list[int]:
    """Return the callers of a node, the outermost first, without the root."""
    found = []
    while (parent := parents.get(node)) is not None:
        found.append(parent)
        node = parent
    return found[-2::-1]


def _javascript_frame(call: _CallFrame, folder: str) -> Frame:
    function = call.function_name or "(anonymous)"
    if not call.url:
        return Frame(function, None, None, library=True)
    return Frame(function, short_path(call.url, folder), call.line_number + 1, is_library(call.url))


def _hits_by_line(node: _Node, first_line: int | None) -> list[tuple[int | None, int]]:
    """Return the samples of a node by line; those without a line are on the function's first."""
    if first_line is None:
        return [(None, node.hit_count)]
    ticks: list[tuple[int | None, int]] = [(tick.line, tick.ticks) for tick in node.position_ticks]
    rest = node.hit_count - sum(hits for _, hits in ticks)
    return [*ticks, (first_line, rest)] if rest > 0 else ticks
