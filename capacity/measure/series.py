"""The Prometheus series with the server's figures: those of the bundled server, or those that a dialect names. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Self

from capacity.errors import UsageError
from stampede.dialects.series import Selector, mistake_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from stampede.dialects.base import Dialect

DROPPED: Final = "chat_messages_dropped_total"

_OWN: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "connections": ("chat_connections",),
        "messages_delivered": ("chat_messages_delivered_total",),
        "messages_dropped": (DROPPED,),
        "slow_consumer_kills": ("chat_slow_consumer_kills_total", "chat_heartbeat_kills_total"),
        "sent_bytes": ("chat_sent_bytes_total",),
        "event_loop_lag": ("chat_event_loop_lag_seconds",),
        "event_loop_lag_seconds": (),
    }
)
_OF_PROCESSES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "cpu_seconds": ("process_cpu_seconds_total",),
        "resident_memory_bytes": ("process_resident_memory_bytes",),
        "open_fds": ("process_open_fds",),
        "max_fds": ("process_max_fds",),
        "start_time_seconds": ("process_start_time_seconds",),
    }
)
FIGURES: Final = (*_OWN, *_OF_PROCESSES)
"""The keys of `[metrics]` that a capacity run reads."""

_HISTOGRAM: Final = "event_loop_lag"


@dataclass(frozen=True, slots=True)
class Series:
    """The series of a server by their keys.

    Attributes:
        given: series that a dialect names; the others are those of the bundled server and of Prometheus' clients.
    """

    given: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, dialect: Dialect) -> Self:
        """Return the series that a dialect names.

        Raises:
            UsageError: one of its keys is unknown, or names no series.
        """
        if mistake := mistake_in(dialect.metrics):
            key, text = mistake
            raise UsageError(f"--dialect {dialect.name}: metrics.{key}: {text}")
        return cls({key: series for key, series in dialect.metrics.items() if key in FIGURES})

    def usual(self, key: str) -> tuple[str, ...]:
        """Return the series of a key unless a dialect names another one."""
        return _OWN[key] if key in _OWN else _OF_PROCESSES[key]

    def __getitem__(self, key: str) -> tuple[Selector, ...]:
        """Return the series that are summed for a key; of a histogram, its buckets."""
        found = [Selector.parse(text) for text in ((self.given[key],) if key in self.given else self.usual(key))]
        return tuple(replace(one, name=f"{one.name}_bucket") if key == _HISTOGRAM else one for one in found)

    @property
    def of_the_chat(self) -> frozenset[str]:
        """Names of the series that only a process of the server has."""
        return _names(self[key] for key in FIGURES if key in _OWN or self.given.get(key, "") not in ("", *_ANY))

    @property
    def all(self) -> frozenset[str]:
        """Names of all series, including those that each process with a Prometheus client has."""
        return _names(self[key] for key in FIGURES)


_ANY: Final = frozenset(name for names in _OF_PROCESSES.values() for name in names)


def _names(selectors: Iterable[tuple[Selector, ...]]) -> frozenset[str]:
    return frozenset(one.name for some in selectors for one in some)


def query_for(names: Iterable[str]) -> str:
    """Return the PromQL selector of series with one of these names."""
    return f'{{__name__=~"{"|".join(sorted(names))}"}}'


BUNDLED: Final = Series()
"""The series of the bundled server."""
