"""What a run promises to hold: service levels with their source, direction, window and grace, from flags or TOML.

A file holds one `[[level]]` table each:

    [[level]]
    figure = "deliver_p99"      # a figure of the load test, with its unit in the threshold
    threshold = "250ms"
    description = "people see an answer as immediate"

    [[level]]
    name = "fanout_p99"         # or a PromQL expression with one value; $window stands for the judged seconds
    promql = "histogram_quantile(0.99, sum by (le) (rate(chat_fanout_duration_seconds_bucket[$window])))"
    threshold = 0.05            # in the expression's own unit
    direction = "below"         # or "above"
    window = 10                 # seconds that are judged, the step's measuring window unless said
    grace = 2                   # seconds after settling that are not
"""

from __future__ import annotations

import difflib
import math
import re
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from capacity.config.slo import Slo, parse_level
from capacity.errors import UsageError
from capacity.formatting import figure

if TYPE_CHECKING:
    from pathlib import Path

    from stampede.measure.figures import Figures

_DIRECTIONS: Final = ("below", "above")


@dataclass(frozen=True, slots=True)
class Span:
    """The seconds of a step that are judged: `window` of them, after `grace`; both count from the end of settling."""

    grace: float
    window: float

    @property
    def end(self) -> float:
        """Seconds after settling at which it ends."""
        return self.grace + self.window


@dataclass(frozen=True, slots=True)
class Promise:
    """One service level.

    Attributes:
        text: as shown, e.g. `deliver_p99<250ms`; `figure`: the name in it.
        threshold: milliseconds or a fraction of a client figure, else in the expression's own unit.
        above: whether more is better.
        client: the client figure, or None where `promql` is the source.
        window, grace: seconds; None leaves the step's measuring window.
    """

    text: str
    figure: str
    threshold: float
    above: bool = False
    client: Slo | None = None
    promql: str | None = None
    window: float | None = None
    grace: float = 0.0
    description: str = ""

    @property
    def is_delivery_latency(self) -> bool:
        """Whether it bounds a percentile of the delivery latency."""
        return self.client is not None and self.client.is_delivery_latency

    def span(self, step_window: float) -> Span:
        """Return when it is judged in a step that measures `step_window` seconds."""
        return Span(self.grace, self.window if self.window is not None else step_window)

    def query(self, step_window: float) -> str:
        """Return its PromQL with `$window` filled in."""
        seconds = max(1, round(self.span(step_window).window))
        return (self.promql or "").replace("$window", f"{seconds}s")

    def value(self, window: Figures) -> float | None:
        """Return the client figure in the threshold's unit; None where the window does not hold it."""
        return None if self.client is None else self.client.value(window)

    def is_met(self, value: float) -> bool:
        """Tell whether a value keeps the promise."""
        if self.client is not None:
            return self.client.is_met(value)
        return value > self.threshold if self.above else value < self.threshold

    def show(self, value: float) -> str:
        """Write a value of this figure in words."""
        return self.client.show(value) if self.client is not None else figure(value, 4)


def promise(text: str) -> Promise:
    """Read one service level as it stands on the command line.

    Raises:
        UsageError: it does not follow the grammar, or names no known figure.
    """
    level = parse_level(text)
    return Promise(level.text, level.figure, level.threshold, client=level)


class _Level(msgspec.Struct, forbid_unknown_fields=True):
    """A `[[level]]` as written."""

    threshold: str | float
    figure: str | None = None
    name: str | None = None
    promql: str | None = None
    direction: str = "below"
    window: float | None = None
    grace: float = 0.0
    description: str = ""


class _File(msgspec.Struct, forbid_unknown_fields=True):
    level: list[dict[str, str | float | int | bool]] = []


def read_promises(path: Path) -> tuple[Promise, ...]:
    """Read a TOML file of service levels.

    Raises:
        UsageError: it cannot be read, or a level in it is unusable; the text says which and what would do.
    """
    try:
        content = tomllib.loads(path.read_text())
    except OSError as error:
        raise UsageError(f"--slo-file {path}: {(error.strerror or str(error)).lower()}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"--slo-file {path}: no TOML: {error}") from None
    try:
        tables = msgspec.convert(content, _File).level
    except msgspec.ValidationError as error:
        raise UsageError(f"--slo-file {path}: {_plain(error)}; levels stand in [[level]] tables") from None
    if not tables:
        raise UsageError(f"--slo-file {path}: no [[level]] in it")
    promises = tuple(_checked(f"--slo-file {path}: level {i}", table) for i, table in enumerate(tables, 1))
    names = [found.text for found in promises]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UsageError(f"--slo-file {path}: {twice} stands there twice")
    return promises


def _checked(where: str, table: dict[str, str | float | int | bool]) -> Promise:
    known = _Level.__struct_fields__
    for key in table:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise UsageError(f"{where}: unknown key {key!r}{hint} (known: {', '.join(known)})")
    try:
        level = msgspec.convert(table, _Level)
    except msgspec.ValidationError as error:
        raise UsageError(f"{where}: {_plain(error)}") from None
    if level.direction not in _DIRECTIONS:
        raise UsageError(f"{where}: direction {level.direction!r} is neither below nor above")
    if not 0 <= level.grace < math.inf or not 0 < (1 if level.window is None else level.window) < math.inf:
        raise UsageError(f"{where}: window and grace are seconds, window more than 0")
    if (level.figure is None) == (level.promql is None):
        raise UsageError(f"{where}: give it either a figure or a promql expression with a name")
    return _of_figure(where, level) if level.figure is not None else _of_promql(where, level)


def _of_figure(where: str, level: _Level) -> Promise:
    if level.direction == "above":
        raise UsageError(f"{where}: less is better for {level.figure}; direction above is for promql")
    try:
        client = parse_level(f"{level.figure}<{level.threshold}")
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from None
    return Promise(
        client.text, client.figure, client.threshold, client=client, window=level.window, grace=level.grace,
        description=level.description,
    )  # fmt: skip


def _of_promql(where: str, level: _Level) -> Promise:
    if level.name is None or not re.fullmatch(r"[A-Za-z_][\w.]*", level.name):
        raise UsageError(f"{where}: a promql expression needs a name of letters, digits and _")
    try:
        threshold = float(level.threshold)
    except ValueError:
        text = f"threshold {level.threshold!r} is no number; it is compared with the expression's own unit"
        raise UsageError(f"{where}: {text}") from None
    above = level.direction == "above"
    return Promise(
        f"{level.name}{'>' if above else '<'}{threshold:g}", level.name, threshold, above, promql=level.promql,
        window=level.window, grace=level.grace, description=level.description,
    )  # fmt: skip


def _plain(error: msgspec.ValidationError) -> str:
    """Return msgspec's words without its capital and its path syntax."""
    text = str(error)
    return f"{text[:1].lower()}{text[1:]}".replace(" - at `$.", " at `").replace(" - at `$`", "")
