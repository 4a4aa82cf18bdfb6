"""The command `mix`: derive the mix of users from a production server's counters."""

from __future__ import annotations

import argparse
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from capacity.config.invocation import command_line
from capacity.errors import ExitCode, UsageError
from capacity.http_client import HttpError, fetch
from capacity.measure.prometheus import Prometheus, PrometheusError
from capacity.model.mix import derive_mix
from capacity.model.traffic import (
    OUR_SERIES,
    TrafficSeries,
    busiest_traffic,
    describe_traffic,
    seconds_between,
    traffic_between,
)
from stampede.dialect_registry import DEFAULT, FORMS, DialectError, load_dialect
from stampede.dialects.stampede import StampedeDialect

if TYPE_CHECKING:
    from collections.abc import Sequence

_DEFAULT_SCRAPE_INTERVAL_S: Final = 60.0


def mix_command(arguments: Sequence[str]) -> int:
    """Derive the users' mix from a production server's counters."""
    parser = argparse.ArgumentParser(
        prog=command_line("capacity", "mix"),
        description="Derive the mix of users from a production server's counters, as options of the load test.",
    )
    parser.add_argument(
        "scrapes", metavar="FILE", nargs="*", help="two saved scrapes of /metrics, taken --seconds apart"
    )
    parser.add_argument(
        "--prometheus", metavar="URL", help="in place of files: read the busiest hours from this Prometheus"
    )
    parser.add_argument(
        "--dialect",
        metavar="DIALECT",
        default=DEFAULT,
        help=f"dialect of the server, whose [metrics] table names the series of its exporter: {FORMS}",
    )
    parser.add_argument("--metrics", metavar="URL", help="in place of files: scrape this page twice, --seconds apart")
    parser.add_argument(
        "--seconds",
        metavar="SECONDS",
        type=float,
        help="time between the scrapes (required for files without timestamps; default with --metrics: 60)",
    )
    parser.add_argument(
        "--days", metavar="N", type=int, default=7, help="days of data to consider with --prometheus (default: 7)"
    )
    parser.add_argument(
        "--hours",
        metavar="N",
        type=int,
        default=3,
        help="number of busiest hours to use with --prometheus (default: 3)",
    )
    given = parser.parse_args(list(arguments))
    if sum((bool(given.scrapes), bool(given.prometheus), bool(given.metrics))) != 1:
        raise UsageError("mix takes one of: two files, --metrics URL, --prometheus URL")
    if not 0 < (1 if given.seconds is None else given.seconds) < float("inf") or given.days < 1 or given.hours < 1:
        raise UsageError("--seconds, --days and --hours must be more than 0")
    series = _series(given.dialect)
    if given.prometheus:
        prometheus = Prometheus(given.prometheus)
        try:
            traffic, ends = busiest_traffic(prometheus, days=given.days, hours=given.hours, series=series)
        except PrometheusError as error:
            raise UsageError(str(error)) from None
        hours = ", ".join(datetime.fromtimestamp(at, UTC).strftime("%a %d %b %H:%M") for at in ends)
        print(f"busiest hours, ending {hours} UTC:")
    else:
        traffic = traffic_between(*_scrapes(given.scrapes, given.metrics, given.seconds), series)
    found = derive_mix(traffic)
    print(f"{describe_traffic(traffic)}\n")
    dialect = [] if series is OUR_SERIES else ["--dialect", given.dialect]
    print(command_line("capacity", *dialect), found.capacity_options())
    print(command_line("locust", "-f", "loadtest", *dialect), found.locust_options())
    if dialect:
        print("\nAdd --host with the URL of the server under test.")
    return ExitCode.ANSWERED


def _series(name: str) -> TrafficSeries:
    """Return the series of the server of a dialect."""
    try:
        dialect = load_dialect(name)
    except DialectError as error:
        raise UsageError(f"--dialect: {error}") from None
    return OUR_SERIES if isinstance(dialect, StampedeDialect) else TrafficSeries.of_dialect(name, dialect.metrics)


def _scrapes(files: list[str], url: str | None, seconds: float | None) -> tuple[str, str, float]:
    """Return two scrapes of a page or from files, and the seconds between them."""
    if url is not None:
        return _scrape_twice(url, _DEFAULT_SCRAPE_INTERVAL_S if seconds is None else seconds)
    if len(files) != 2:
        raise UsageError(f"mix needs two scrapes for a difference, not {len(files)}")
    paths = [Path(name) for name in files]
    try:
        first, second = (path.read_text() for path in paths)
        written = paths[1].stat().st_mtime - paths[0].stat().st_mtime
    except (OSError, ValueError) as error:
        raise UsageError(str(error)) from None
    apart = seconds or seconds_between(first, second)
    if apart is None:
        hint = f" (the files were written {written:.0f} s apart)" if written >= 1 else ""
        raise UsageError(f"--seconds is required: the scrapes have no timestamps{hint}")
    if apart <= 0:
        raise UsageError("the second scrape is not later than the first: swap them")
    return first, second, apart


def _scrape_twice(url: str, seconds: float) -> tuple[str, str, float]:
    try:
        first = fetch(url).decode()
        began = time.monotonic()
        time.sleep(seconds)
        second = fetch(url).decode()
    except (HttpError, ValueError) as error:
        raise UsageError(f"no metrics at {error}") from None
    return first, second, time.monotonic() - began
