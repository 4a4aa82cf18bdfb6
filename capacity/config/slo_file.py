"""Read service-level objectives from a TOML file.

The file has one table for each SLO:

    [[level]]
    figure = "deliver_p99"      # a figure of the load test; the threshold has its unit
    threshold = "250ms"
    description = "replies are immediate"

    [[level]]
    name = "fanout_p99"         # or a PromQL expression with one value; $window is the judged time
    promql = "histogram_quantile(0.99, sum by (le) (rate(chat_fanout_duration_seconds_bucket[$window])))"
    threshold = 0.05            # in the expression's own unit
    direction = "below"         # or "above"
    window = 10                 # judged seconds; default: the step's measurement window
    grace = 2                   # seconds after settling that are not judged
"""

from __future__ import annotations

import difflib
import math
import re
import tomllib
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import msgspec

from capacity.config.slo import RunSlo, parse_slo
from capacity.errors import UsageError
from capacity.formatting import error_text

if TYPE_CHECKING:
    from pathlib import Path

_DIRECTIONS: Final = ("below", "above")


class _Table(msgspec.Struct, forbid_unknown_fields=True):
    """A `[[level]]` table as written."""

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


def read_slo_file(path: Path) -> tuple[RunSlo, ...]:
    """Read a TOML file of SLOs.

    Raises:
        UsageError: the file cannot be read, or a table in it is invalid; the text names the table.
    """
    try:
        content = tomllib.loads(path.read_text())
    except OSError as error:
        raise UsageError(f"--slo-file {path}: {error_text(error)}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"--slo-file {path}: not valid TOML: {error}") from None
    try:
        tables = msgspec.convert(content, _File).level
    except msgspec.ValidationError as error:
        raise UsageError(
            f"--slo-file {path}: {_plain(error)}; write each SLO as a [[level]] table; see capacity/README.md"
        ) from None
    if not tables:
        raise UsageError(f"--slo-file {path}: the file has no [[level]] table")
    slos = tuple(_slo(f"--slo-file {path}: level {i}", table) for i, table in enumerate(tables, 1))
    names = [slo.text for slo in slos]
    if duplicate := next((name for name in names if names.count(name) > 1), None):
        raise UsageError(f"--slo-file {path}: {duplicate} is defined twice")
    return slos


def _slo(where: str, content: dict[str, str | float | int | bool]) -> RunSlo:
    known = _Table.__struct_fields__
    for key in content:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise UsageError(f"{where}: unknown key {key!r}{hint} (known: {', '.join(known)}); see capacity/README.md")
    try:
        table = msgspec.convert(content, _Table)
    except msgspec.ValidationError as error:
        raise UsageError(f"{where}: {_plain(error)}") from None
    if table.direction not in _DIRECTIONS:
        raise UsageError(f"{where}: direction must be below or above, not {table.direction!r}")
    if not 0 <= table.grace < math.inf or not 0 < (1 if table.window is None else table.window) < math.inf:
        raise UsageError(f"{where}: window and grace must be numbers of seconds, window above 0")
    if (table.figure is None) == (table.promql is None):
        raise UsageError(f"{where}: give either a figure or a promql expression with a name")
    return _client_slo(where, table) if table.figure is not None else _promql_slo(where, table)


def _client_slo(where: str, table: _Table) -> RunSlo:
    if table.direction == "above":
        raise UsageError(f"{where}: direction above is only for promql; less is better for {table.figure}")
    try:
        slo = parse_slo(f"{table.figure}<{table.threshold}")
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from None
    return replace(slo, window=table.window, grace=table.grace, description=table.description)


def _promql_slo(where: str, table: _Table) -> RunSlo:
    if table.name is None or not re.fullmatch(r"[A-Za-z_][\w.]*", table.name):
        raise UsageError(f"{where}: a promql expression needs a name of letters, digits and _")
    try:
        threshold = float(table.threshold)
    except ValueError:
        text = f"threshold {table.threshold!r} is not a number in the expression's own unit"
        raise UsageError(f"{where}: {text}") from None
    above = table.direction == "above"
    return RunSlo(
        f"{table.name}{'>' if above else '<'}{threshold:g}", table.name, threshold, above, promql=table.promql,
        window=table.window, grace=table.grace, description=table.description,
    )  # fmt: skip


def _plain(error: msgspec.ValidationError) -> str:
    """Return msgspec's message in lower case and without its path syntax."""
    text = str(error)
    return f"{text[:1].lower()}{text[1:]}".replace(" - at `$.", " at `").replace(" - at `$`", "")
