"""The server's processes: releases, memory, files, garbage collection, plain requests."""

from __future__ import annotations

from grafana.common import COUNT, EVENTS, REQUESTS, SECONDS, About, Panel, Series, Steps, grid, lines
from grafana.promql import SERVER, gauge, mean, of, rate

_RELEASE = ("instance", "version", "python", "uvloop", "websockets")
_GENERATION = ("job", "instance", "generation")


def releases() -> tuple[Panel, ...]:
    """Return which releases run, and since when."""
    return (
        grid(
            "Releases",
            About(
                "What runs where: the server's version and those of its libraries.",
                "Different versions side by side when no deployment is under way.",
                "Finish the deployment, or take it back.",
            ),
            COUNT, Series(f"sum by ({', '.join(_RELEASE)}) ({gauge(SERVER)})", "processes"), width=14,
        ).height(6),
        lines(
            "Uptime",
            About(
                "Time since each server process started.",
                "A line that falls to 0 again and again: a process that does not stay up.",
                "Look at the last lines of its log, and at memory before the fall.",
            ),
            SECONDS, Series(of(SERVER, f"time() - {gauge('process_start_time_seconds')}"), "{{instance}}"), width=10,
        ).height(6),
    )  # fmt: skip


def workers() -> tuple[Panel, ...]:
    """Return how the workers fare, as their parent tells; empty without `--workers`, or where it is no target."""
    return (
        lines(
            "Workers",
            About(
                "Server processes of each `--workers` that are up.",
                "Below what was asked for: one has died and is being started again.",
                "Its clients come back by themselves. If it stays low, read the log of the parent.",
            ),
            COUNT, Series(gauge("chat_workers"), "{{instance}}"), width=12,
        ).height(6),
        lines(
            "Workers started again",
            About(
                "Workers that died and were started again, each second.",
                "Anything but 0. Again and again: each time later, 30 s at most, until it stays up.",
                "The log has the exit code. -9 is the system's own hand: look at memory before the fall.",
            ),
            EVENTS, Series(rate("chat_worker_restarts_total", by=("instance",)), "{{instance}}"), width=12,
        ).height(6),
    )  # fmt: skip


def scrape(width: int = 6) -> Panel:
    """Return what being measured costs."""
    return lines(
        "Scrape time",
        About(
            "How long a scrape of its metrics holds each server's event loop.",
            "Above 25 ms: being watched is felt by everybody who is connected.",
            "Scrape less often: 15 s in production. The page does not grow with connections or rooms.",
        ),
        SECONDS, Series(mean("chat_scrape_duration_seconds", by=("instance",)), "{{instance}}"),
        width=width, steps=Steps(0.01, 0.025),
    )  # fmt: skip


def garbage() -> tuple[Panel, ...]:
    """Return how often Python collects, and what it finds."""
    return (
        lines(
            "Garbage collections",
            About(
                "Python's collections each second, by generation.",
                "Generation 2 more than once a second: each walks all objects and holds the loop.",
                "Compare with *Event loop lags* at the same moment.",
            ),
            EVENTS,
            Series(of(SERVER, rate("python_gc_collections_total", by=_GENERATION)), "{{instance}} gen {{generation}}"),
        ),
        lines(
            "Garbage collected",
            About(
                "Objects each second that only the collector could free, as they held each other, by generation.",
                "A rise with every message or connection: something makes circles.",
                "Anything that cannot be freed, beside this, is a leak.",
            ),
            EVENTS,
            Series(
                of(SERVER, rate("python_gc_objects_collected_total", by=_GENERATION)), "{{instance}} gen {{generation}}"
            ),
            Series(
                of(SERVER, rate("python_gc_objects_uncollectable_total", by=("job", "instance"))),
                "{{instance}} not freed",
            ),
        ),
        lines(
            "Plain requests",
            About(
                "Plain HTTP requests each second, by status: health checks, scrapes, the chat page.",
                "Any 5xx; 4xx in numbers: somebody asks for what is not there, or speaks no HTTP.",
                "The second panel says for which path.",
            ),
            REQUESTS, Series(rate("chat_http_requests_total", by=("code",)), "{{code}}"), width=4,
        ),
        lines(
            "Plain requests by path",
            About(
                "Plain HTTP requests each second, by path.",
                "`/health` missing: nobody checks this server. `other` in numbers: somebody searches for holes.",
                "Put `/metrics` on its own port with `--metrics-port`, so that it is not public.",
            ),
            REQUESTS, Series(rate("chat_http_requests_total", by=("path",)), "{{path}}"), width=4,
        ),
    )  # fmt: skip
