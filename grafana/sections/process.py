"""The server's processes: releases, workers, garbage collection, plain requests."""

from __future__ import annotations

from grafana.panels import COUNT, EVENTS, REQUESTS, SECONDS, Description, Panel, Series, Thresholds, table, timeseries
from grafana.promql import SERVER, gauge, mean, rate, restricted_to

_RELEASE = ("instance", "version", "python", "uvloop", "websockets")
_GENERATION = ("job", "instance", "generation")


def releases() -> tuple[Panel, ...]:
    """Return the panels of versions and uptimes."""
    return (
        table(
            "Releases",
            Description(
                "The version of each server and of its libraries.",
                "Different versions when no deployment is in progress.",
                "Finish the deployment, or roll it back.",
            ),
            COUNT,
            Series(f"sum by ({', '.join(_RELEASE)}) ({gauge(SERVER)})", "processes"),
            width=14,
        ).height(6),
        timeseries(
            "Uptime",
            Description(
                "Time since each server process started.",
                "A line that falls to 0 repeatedly: a process that ends and is restarted again and again.",
                "Check the last lines of its log, and its memory before the restart.",
            ),
            SECONDS,
            Series(restricted_to(SERVER, f"time() - {gauge('process_start_time_seconds')}"), "{{instance}}"),
            width=10,
        ).height(6),
    )


def workers() -> tuple[Panel, ...]:
    """Return the panels of worker processes; empty without `--workers`, or if the parent is not a target."""
    return (
        timeseries(
            "Workers",
            Description(
                "Running worker processes of each server with `--workers`.",
                "Below `--workers`: a worker died and is being restarted.",
                "Its clients reconnect. If the line stays low, read the parent's log.",
            ),
            COUNT,
            Series(gauge("chat_workers"), "{{instance}}"),
            width=12,
        ).height(6),
        timeseries(
            "Worker restarts",
            Description(
                "Workers that died and were restarted, per second.",
                "Anything but 0. The delay between repeated restarts grows up to 30 s, until the worker keeps running.",
                "The log has the exit code. -9 is SIGKILL, usually from the OOM killer: check memory before "
                "the restart.",
            ),
            EVENTS,
            Series(rate("chat_worker_restarts_total", by=("instance",)), "{{instance}}"),
            width=12,
        ).height(6),
    )


def scrape(width: int = 6) -> Panel:
    """Return the panel of the scrape time."""
    return timeseries(
        "Scrape time",
        Description(
            "Event loop time of a scrape of the metrics, by server.",
            "Above 25 ms: scrapes delay every connected client.",
            "Scrape less often: 15 s in production. The page does not grow with connections or rooms.",
        ),
        SECONDS,
        Series(mean("chat_scrape_duration_seconds", by=("instance",)), "{{instance}}"),
        width=width,
        thresholds=Thresholds(0.01, 0.025),
    )


def garbage() -> tuple[Panel, ...]:
    """Return the panels of garbage collection and plain requests."""
    return (
        timeseries(
            "Garbage collections",
            Description(
                "Python's garbage collections per second, by generation.",
                "Generation 2 more than once per second: each visits all objects and blocks the event loop.",
                "Compare with *Event loop lags* at the same time.",
            ),
            EVENTS,
            Series(
                restricted_to(SERVER, rate("python_gc_collections_total", by=_GENERATION)),
                "{{instance}} gen {{generation}}",
            ),
        ),
        timeseries(
            "Garbage collected",
            Description(
                "Objects in reference cycles that the collector freed per second, by generation.",
                "A rise with every message or connection: some code creates reference cycles.",
                "Objects that cannot be freed are a leak.",
            ),
            EVENTS,
            Series(
                restricted_to(SERVER, rate("python_gc_objects_collected_total", by=_GENERATION)),
                "{{instance}} gen {{generation}}",
            ),
            Series(
                restricted_to(SERVER, rate("python_gc_objects_uncollectable_total", by=("job", "instance"))),
                "{{instance}} not freed",
            ),
        ),
        timeseries(
            "Plain requests",
            Description(
                "Plain HTTP requests per second, by status: health checks, scrapes, the chat page.",
                "Any 5xx; many 4xx: clients request unknown paths, or send invalid HTTP.",
                "The panel *Plain requests by path* shows the path.",
            ),
            REQUESTS,
            Series(rate("chat_http_requests_total", by=("code",)), "{{code}}"),
            width=4,
        ),
        timeseries(
            "Plain requests by path",
            Description(
                "Plain HTTP requests per second, by path.",
                "No `/health`: no health check runs. Many `other`: a scanner probes the server.",
                "Serve `/metrics` on its own port with `--metrics-port`, so that it is not public.",
            ),
            REQUESTS,
            Series(rate("chat_http_requests_total", by=("path",)), "{{path}}"),
            width=4,
        ),
    )
