"""Sources of the server's own figures: the `/metrics` page of each process, or a Prometheus that scrapes them.

A source that provided figures at the start and fails later is a problem of the step; the figures are not interpolated.
"""

from __future__ import annotations

import math
import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import urlsplit, urlunsplit

from capacity.http_client import Access, HttpError, Requester
from capacity.measure.prometheus import PrometheusError
from capacity.measure.series import BUNDLED, Series, query_for
from capacity.measure.server_sample import ServerSample, parse_metrics, sample_of
from stampede.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from capacity.measure.prometheus import Prometheus

_PLAIN: Final = Access()
_PAGE_TIMEOUT_S: Final = 2.0
_LOOKBACK_S: Final = 60
_STALE_S: Final = 16.0  # Prometheus' default interval of 15 s, and a margin


class SourceError(Exception):
    """A source does not provide the server's figures; the text has the reason."""


class Source(Protocol):
    """A source of the server's figures, from its series."""

    @property
    def series(self) -> Series: ...

    def read(self) -> ServerSample: ...

    def retry(self) -> None: ...


class MetricsPages:
    """The `/metrics` pages of all processes of the server."""

    __slots__ = ("_requester", "_urls", "series")

    def __init__(self, urls: Sequence[str], access: Access = _PLAIN, series: Series = BUNDLED) -> None:
        self.series = series
        self._urls = tuple(urls)
        self._requester = Requester(_PAGE_TIMEOUT_S, access)

    def read(self) -> ServerSample:
        """Read every page and merge the processes.

        Raises:
            SourceError: a page cannot be read, or has no metrics.
        """
        samples = []
        for url in self._urls:
            try:
                page = self._requester.fetch(url).decode()
                samples.append(parse_metrics(page, time.monotonic(), self.series))
            except HttpError as error:
                raise SourceError(f"no metrics at {error}") from None
            except ValueError:
                raise SourceError(f"no metrics at {redact(url)}: the response is not a metrics page") from None
        return merge_samples(samples)

    def retry(self) -> None:
        """Request the pages again after one that was not answered in time; until then, reading fails."""
        self._requester.retry()


class PageOfServer:
    """The metrics page of a server of one process, below the path of its endpoint or one above it."""

    __slots__ = ("_access", "_found", "_urls", "series")

    def __init__(self, url: str, path: str = "", access: Access = _PLAIN, series: Series = BUNDLED) -> None:
        """Search for the page of the server at a WebSocket URL; `path` counts if the URL has none."""
        self.series = series
        self._urls = metrics_urls(url, path)
        self._access = access
        self._found: MetricsPages | None = None

    def read(self) -> ServerSample:
        """Read the page; the first time, search for it.

        Raises:
            SourceError: no page has metrics.
        """
        if self._found is None:
            self._found = self._search()
        return self._found.read()

    def retry(self) -> None:
        """Request the page again after it was not answered in time."""
        if self._found is not None:
            self._found.retry()

    def _search(self) -> MetricsPages:
        """Return the first page that has metrics, otherwise the one that belongs to no prefix."""
        *below, last = (MetricsPages([url], self._access, self.series) for url in self._urls)
        for page in below:
            with suppress(SourceError):
                page.read()
                return page
        return last


def metrics_urls(url: str, path: str) -> list[str]:
    """Return the possible metrics pages of a server: below each prefix of its path, the longest first.

    Args:
        url: WebSocket URL of the server.
        path: of the chat endpoint, unless the URL contains one.
    """
    parts = urlsplit(url)
    names = [name for name in (parts.path.strip("/") or path).split("/") if name]
    scheme = "https" if parts.scheme == "wss" else "http"
    paths = ["/".join(["", *names[:length], "metrics"]) for length in range(len(names), -1, -1)]
    return [urlunsplit((scheme, parts.netloc, path, "", "")) for path in paths]


class PrometheusSource:
    """A Prometheus that scrapes the server; all chat processes among its targets are merged."""

    __slots__ = ("_interval_s", "_prometheus", "series")

    def __init__(self, prometheus: Prometheus, interval_s: float | None = None, series: Series = BUNDLED) -> None:
        """Read from a Prometheus.

        Args:
            prometheus: scrapes the server.
            interval_s: seconds between two scrapes, if known.
            series: the server's series; default: those of the bundled server.
        """
        self._prometheus = prometheus
        self._interval_s = interval_s or 0.0
        self.series = series

    def retry(self) -> None:
        """Query again after a query that was not answered in time."""
        self._prometheus.retry()

    def read(self) -> ServerSample:
        """Read the latest raw samples of the server's processes.

        Raises:
            SourceError: no response, no chat server among its targets, or the samples are too old.
        """
        lookback_s = max(_LOOKBACK_S, math.ceil(3 * self._interval_s))
        try:
            found = self._prometheus.samples(query_for(self.series.all), lookback_s)
        except PrometheusError as error:
            raise SourceError(str(error)) from None
        by_process: dict[tuple[str, str], list[tuple[str, dict[str, str], float]]] = {}
        scraped_at: dict[tuple[str, str], float] = {}
        for labels, at, value in found:
            key, name = (labels.get("job", ""), labels.get("instance", "")), labels.get("__name__", "")
            by_process.setdefault(key, []).append((name, labels, value))
            if name in self.series.of_the_chat:
                scraped_at[key] = max(at, scraped_at.get(key, 0.0))
        if not scraped_at:
            raise SourceError(
                f"Prometheus has no sample of a chat server in the last {lookback_s} s: does it scrape the server, "
                "and does [metrics] of the dialect name the server's series?"
            )
        age = self._prometheus.now - min(scraped_at.values())  # samples have the time of Prometheus' clock
        if age > max(_STALE_S, 1 + 1.1 * self._interval_s):
            raise SourceError(f"Prometheus' latest sample of a server process is {age:.0f} s old")
        samples = [sample_of(by_process[key], at, self.series) for key, at in sorted(scraped_at.items())]
        return merge_samples(samples)


_SUMMED: Final = (
    "cpu_seconds", "started_at", "rss_bytes", "connections", "delivered", "dropped", "kills", "sent_bytes",
)  # fmt: skip


def merge_samples(samples: Sequence[ServerSample]) -> ServerSample:
    """Merge the samples of a server's processes. A figure that one process does not provide is None.

    Counters and start times are summed: the sum of start times changes when any process restarts. Open files and a lag
    that is a gauge are the maximum, the file limit is the minimum.
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
    lags = [one.lag_s for one in samples if one.lag_s is not None]
    parts = None if sums["cpu_seconds"] is None else tuple(one.cpu_seconds or 0.0 for one in samples)
    return replace(
        total,
        **sums,
        cpu_parts=parts,
        fds=max(files, default=None),
        fds_limit=min(limits, default=None),
        lag_s=max(lags, default=None),
        lag_buckets=_sum_buckets([one.lag_buckets for one in samples]),
    )


def _sum_buckets(histograms: Sequence[Mapping[float, float] | None]) -> dict[float, float] | None:
    """Sum histograms with the same bounds; None if one is missing or has other bounds."""
    known = [histogram for histogram in histograms if histogram is not None]
    if len(known) < len(histograms) or len({frozenset(histogram) for histogram in known}) > 1:
        return None
    return {bound: sum(histogram[bound] for histogram in known) for bound in known[0]}
