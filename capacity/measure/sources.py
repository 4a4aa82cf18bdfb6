"""Where the server's own figures come from: `/metrics` of each of its processes, or a Prometheus that scrapes them.

A source that told something at the start and does not any more is a problem of the step, not a gap that closes over.
"""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Protocol

from capacity.http_client import HttpError, ask
from capacity.measure.instant import LOOP_LAG, ServerSample, parse_metrics, sample_of
from capacity.measure.prometheus import PrometheusError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from capacity.measure.prometheus import Prometheus

_PAGE_S: Final = 2.0
_LOOK_BACK_S: Final = 60
_STALE_S: Final = 16.0  # one interval of Prometheus' usual 15 s, and a moment
_PROCESS: Final = (
    "process_cpu_seconds_total|process_start_time_seconds|process_resident_memory_bytes|"
    "process_open_fds|process_max_fds"
)
_CHAT: Final = (
    "chat_connections|chat_messages_delivered_total|chat_messages_dropped_total|chat_slow_consumer_kills_total|"
    f"chat_heartbeat_kills_total|chat_sent_bytes_total|{LOOP_LAG}_bucket"
)


class SourceError(Exception):
    """A source does not tell the server's figures; the text says why, in words."""


class Source(Protocol):
    """Something that tells the server's figures."""

    @property
    def name(self) -> str: ...

    def read(self) -> ServerSample: ...


class Pages:
    """The `/metrics` pages of all processes of the server."""

    __slots__ = ("_urls",)

    def __init__(self, urls: Sequence[str]) -> None:
        self._urls = tuple(urls)

    @property
    def name(self) -> str:
        """Where it reads, for people."""
        return ", ".join(self._urls)

    def read(self) -> ServerSample:
        """Read every page and add the processes up.

        Raises:
            SourceError: a page does not answer, or holds no metrics.
        """
        samples = []
        for url in self._urls:
            try:
                samples.append(parse_metrics(ask(url, timeout_s=_PAGE_S).decode(), time.monotonic()))
            except HttpError as error:
                raise SourceError(f"no metrics at {error}") from None
            except ValueError:
                raise SourceError(f"no metrics at {url}: what it answers is none") from None
        return merged(samples)


class Scraped:
    """A Prometheus that scrapes the server; all processes it knows are added up."""

    __slots__ = ("_interval_s", "_prometheus", "_selector", "name")

    def __init__(self, prometheus: Prometheus, selector: str = "", interval_s: float | None = None) -> None:
        """Read from a Prometheus that scrapes each `interval_s` seconds, where that is known."""
        self._prometheus = prometheus
        self._selector = selector
        self._interval_s = interval_s or 0.0
        self.name = "Prometheus"

    def read(self) -> ServerSample:
        """Read the latest raw samples of the server's processes.

        Raises:
            SourceError: no answer, no chat server among its targets, or the samples are old.
        """
        extra = f", {self._selector}" if self._selector else ""
        look_back_s = max(_LOOK_BACK_S, math.ceil(3 * self._interval_s))
        try:
            chat = self._prometheus.samples(f'{{__name__=~"{_CHAT}"{extra}}}', look_back_s)
            process = self._prometheus.samples(f'{{__name__=~"{_PROCESS}"{extra}}}', look_back_s)
        except PrometheusError as error:
            raise SourceError(str(error)) from None
        by_process: dict[tuple[str, str], list[tuple[str, dict[str, str], float]]] = {}
        moments: dict[tuple[str, str], float] = {}
        for labels, at, value in chat:
            key = (labels.get("job", ""), labels.get("instance", ""))
            by_process.setdefault(key, []).append((labels.get("__name__", ""), labels, value))
            moments[key] = max(at, moments.get(key, 0.0))
        for labels, _, value in process:
            key = (labels.get("job", ""), labels.get("instance", ""))
            if key in by_process:
                by_process[key].append((labels.get("__name__", ""), labels, value))
        if not by_process:
            raise SourceError(f"Prometheus has no sample of a chat server in the last {look_back_s} s")
        age = self._prometheus.now - min(moments.values())  # samples carry the time of its clock
        if age > max(_STALE_S, 1 + 1.1 * self._interval_s):
            raise SourceError(f"Prometheus' latest sample of a server process is {age:.0f} s old")
        return merged([sample_of(found, moments[key]) for key, found in sorted(by_process.items())])


_SUMMED: Final = (
    "cpu_seconds", "started_at", "rss_bytes", "connections", "delivered", "dropped", "kills", "sent_bytes",
)  # fmt: skip


def merged(samples: Sequence[ServerSample]) -> ServerSample:
    """Add up the processes of one server; what one of them does not tell is not told.

    Starts are added too: the sum changes when any process is restarted. Files are those of the process with most of
    them, their limit that of the tightest.
    """
    if len(samples) == 1:
        return samples[0]
    total = replace(samples[0], processes=len(samples), at_s=sum(one.at_s for one in samples) / len(samples))
    sums: dict[str, Any] = {}
    for name in _SUMMED:
        values = [getattr(one, name) for one in samples]
        sums[name] = None if any(value is None for value in values) else sum(values)
    files = [one.fds for one in samples if one.fds is not None]
    limits = [one.fds_limit for one in samples if one.fds_limit is not None]
    lags = [one.lag_buckets for one in samples]
    buckets: dict[float, float] | None = {}
    for lag in lags:
        if lag is None or buckets is None or (buckets and set(lag) != set(buckets)):
            buckets = None
            break
        buckets = {bound: buckets.get(bound, 0.0) + count for bound, count in lag.items()}
    parts = None if sums["cpu_seconds"] is None else tuple(one.cpu_seconds or 0.0 for one in samples)
    return replace(
        total,
        **sums,
        cpu_parts=parts,
        fds=max(files, default=None),
        fds_limit=min(limits, default=None),
        lag_buckets=buckets,
    )
