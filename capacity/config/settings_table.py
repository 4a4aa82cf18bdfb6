"""The settings of a run as its report shows them, without secrets; derived from the options of `RunSettings`.

A setting of the report has the name of its option, except `workers` and `headers`. `load`, `interval_width`,
`confirmations` and `locustfile_hash` follow from other options.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from capacity.config.settings import RUN_OPTIONS
from stampede.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Callable

    from capacity.config.options import Option
    from capacity.config.settings import RunSettings

Shown: TypeAlias = str | int | float | bool | None

# Options that the report shows in other sections, or not at all.
_OMITTED: Final = frozenset(
    {"metrics", "slo", "slo_file", "unbounded", "report", "web", "runs", "resume", "summary_json", "junit"}
)  # fmt: skip
_NAMES: Final = {"workers_list": "workers"}
_SHOW: Final[dict[str, Callable[[RunSettings], Shown]]] = {
    "host": lambda settings: redact(settings.host) if settings.host else None,
    "prometheus": lambda settings: redact(settings.prometheus) if settings.prometheus else None,
    "workers_list": lambda settings: settings.workers,
    "bounded": lambda settings: settings.bounded is not None,
    "steps": lambda settings: ",".join(map(str, settings.given)) or None,
    "mix": lambda settings: settings.scenario.mix_text or None,
    "master_bind_port": lambda settings: str(settings.master_bind_port) if settings.expect_workers else None,
    "worker_timeout": lambda settings: settings.worker_timeout if settings.expect_workers else None,
    "headroom": lambda settings: settings.headroom if settings.target_users else None,
}
_DERIVED: Final[dict[str, Callable[[RunSettings], Shown]]] = {
    "interval_width": lambda settings: None if settings.given else settings.interval_width,
    "confirmations": lambda settings: None if settings.given else settings.confirmations,
    "load": lambda settings: " ".join(settings.load.arguments()),
    "headers": lambda settings: ", ".join(settings.load.header_names) or None,
    "locustfile_hash": lambda settings: settings.locustfile_hash,
}


def _shown_options() -> dict[str, Option]:
    return {name: one for name, one in RUN_OPTIONS.items() if name not in _OMITTED}


def settings_table(settings: RunSettings) -> dict[str, Shown]:
    """Return the settings as the report shows them."""
    table: dict[str, Shown] = {}
    for name in _shown_options():
        show = _SHOW.get(name)
        table[_NAMES.get(name, name)] = getattr(settings, name) if show is None else show(settings)
    return table | {name: show(settings) for name, show in _DERIVED.items()}


def _names_where(condition: Callable[[Option], bool]) -> frozenset[str]:
    return frozenset(_NAMES.get(name, name) for name, one in _shown_options().items() if condition(one))


UNITS: Final = {_NAMES.get(name, name): one.unit for name, one in _shown_options().items()} | {"interval_width": "%"}
"""Unit of each setting: `s`, `%` or empty."""

RESUME_MAY_CHANGE: Final = _names_where(lambda one: one.resume_may_change)
"""Settings that `--resume` may change: the duration of the run, and the additions to its report."""

COMPARE_MAY_DIFFER: Final = _names_where(lambda one: one.compare_may_differ) | {"interval_width", "confirmations"}
"""Settings of how a run was measured, not of its question: `compare` accepts differences."""

QUESTION: Final = (*sorted(_names_where(lambda one: one.defines_question)), "load")
"""Settings that define the question of a run: `history` draws one chart for each question."""

SELECT_LEVELS: Final = tuple(name for name, one in _shown_options().items() if one.selects_levels)
"""Settings of runs that measured given levels instead of searching."""
