"""Render the page that Prometheus scrapes, in the format and encoding it asks for."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, disable_created_metrics
from prometheus_client.exposition import choose_encoder, gzip_accepted

from metrics.process import ProcessCollector

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prometheus_client.registry import Collector


@dataclass(frozen=True, slots=True)
class Page:
    """A rendered page: its body, and the headers that go with it; `content_encoding` is None for a plain body."""

    body: bytes
    content_type: str
    content_encoding: str | None


class Exposition:
    """The metrics of one process: a registry of its own, so that nothing imported elsewhere shows up in it.

    Args:
        collectors: what to export.
        process: export process, platform and garbage collection as well.
    """

    def __init__(self, collectors: Iterable[Collector], *, process: bool = True) -> None:
        # prometheus-client's own objects would export a `_created` series beside each of theirs.
        disable_created_metrics()  # type: ignore[no-untyped-call] # not annotated by its authors
        self._registry = CollectorRegistry(auto_describe=True)
        for collector in collectors:
            self._registry.register(collector)
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
        try:
            encode, content_type = choose_encoder(accept)
        except TypeError:  # prometheus-client 0.26 stumbles over a version that is not made of numbers
            encode, content_type = choose_encoder("")
        body = encode(self._registry)
        if not gzip_accepted(accept_encoding):
            return Page(body, content_type, None)
        # Level 1: a scrape holds the event loop, and the page is local traffic. No time stamp: same state, same page.
        return Page(gzip.compress(body, compresslevel=1, mtime=0), content_type, "gzip")
