"""Render the page that Prometheus scrapes, in the format and encoding it asks for."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, GCCollector, Histogram, PlatformCollector, disable_created_metrics
from prometheus_client.exposition import choose_encoder, gzip_accepted
from prometheus_client.openmetrics.exposition import ALLOWUTF8, UNDERSCORES

from metrics.catalog import CATALOG
from metrics.process import ProcessCollector
from metrics.text import write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from prometheus_client.registry import Collector

_VARY: Final = "Accept, Accept-Encoding"  # one address, several forms (RFC 9110, section 12.5.5)


@dataclass(frozen=True, slots=True)
class Page:
    """A rendered page: its body, and the headers that go with it; `content_encoding` is None for a plain body."""

    body: bytes
    content_type: str
    content_encoding: str | None

    @property
    def headers(self) -> dict[str, str]:
        """What is to be said beside type and length."""
        encoding = {"Content-Encoding": self.content_encoding} if self.content_encoding else {}
        return {"Vary": _VARY, **encoding}


class Exposition:
    """The metrics of one process: a registry of its own, so that nothing imported elsewhere shows up in it.

    Args:
        collectors: what to export.
        process: export process, platform and garbage collection as well.
        duration: name of the histogram in which rendering times itself; it shows the scrapes before this one.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        collectors: Iterable[Collector],
        *,
        process: bool = True,
        duration: str | None = None,
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        # prometheus-client's own objects would export a `_created` series beside each of theirs.
        disable_created_metrics()  # type: ignore[no-untyped-call] # not annotated by its authors
        self._registry = CollectorRegistry(auto_describe=True)
        for collector in collectors:
            self._registry.register(collector)
        self._clock = clock
        self._duration = self._own_histogram(duration) if duration is not None else None
        if process:
            self._registry.register(ProcessCollector())
            PlatformCollector(registry=self._registry)
            GCCollector(registry=self._registry)

    def render(self, accept: str = "", accept_encoding: str = "") -> Page:
        """Read every collector and return the page.

        Args:
            accept: the request's Accept header, empty for none: text, or OpenMetrics where it is asked for.
            accept_encoding: the request's Accept-Encoding header, empty for none: gzip where it is asked for.
        """
        start = self._clock()
        page = self._render(accept, accept_encoding)
        if self._duration is not None:
            self._duration.observe(self._clock() - start)
        return page

    def _own_histogram(self, name: str) -> Histogram:
        metric = CATALOG[name]
        return Histogram(metric.family, metric.help, unit=metric.unit, buckets=metric.buckets, registry=self._registry)

    def _render(self, accept: str, accept_encoding: str) -> Page:
        try:
            encode, content_type = choose_encoder(accept)
        except TypeError:  # prometheus-client 0.26 stumbles over a version that is not made of numbers
            encode, content_type = choose_encoder("")
        body = None
        # Where names are written with underscores for what is not allowed in them, ours are written as they are.
        if getattr(encode, "keywords", {}).get("escaping", UNDERSCORES) in {UNDERSCORES, ALLOWUTF8}:
            openmetrics = content_type.startswith("application/openmetrics-text")
            body = write(self._registry.collect(), openmetrics=openmetrics)
        if body is None:
            body = encode(self._registry)
        if not gzip_accepted(accept_encoding):
            return Page(body, content_type, None)
        # Level 1: a scrape holds the event loop, and the page is local traffic. No time stamp: same state, same page.
        return Page(gzip.compress(body, compresslevel=1, mtime=0), content_type, "gzip")
