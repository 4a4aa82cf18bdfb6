"""Reconnect storms: connections that the load test drops on purpose, and their recovery."""

from __future__ import annotations

from grafana.panels import (
    BLUE,
    COUNT,
    EVENTS,
    GREEN,
    ORANGE,
    SECONDS,
    Description,
    Panel,
    Series,
    Thresholds,
    timeseries,
)
from grafana.promql import gauge, rate


def panels() -> tuple[Panel, ...]:
    """Return the panels of all drops and of the last storm on command."""
    return (
        timeseries(
            "Drops",
            Description(
                "Connections that the load test dropped per second, by cause, and storms on command.",
                "Drops that you did not configure: someone else started a storm.",
                "Connections that the server ended are in its panel *Connections ended*.",
            ),
            EVENTS,
            Series(rate("loadtest_drops_total", by=("cause",)), "{{cause}}"),
            Series(rate("loadtest_storms_total"), "storms on command", dashed=True),
            width=6,
        ),
        timeseries(
            "Last storm: dropped and resynced",
            Description(
                "Users that the last storm on command dropped, those that receive in their room again, and the most "
                "reconnects within one second.",
                "The two lines do not meet: some users do not reconnect.",
                "See *Handshakes refused* and the policy of `--backoff`.",
            ),
            COUNT,
            Series(f"sum({gauge('loadtest_storm_dropped')})", "dropped", color=ORANGE),
            Series(f"sum({gauge('loadtest_storm_resynced')})", "resynced", color=GREEN),
            Series(f"sum({gauge('loadtest_storm_peak_accepts')})", "reconnects in the busiest second", color=BLUE),
            width=6,
        ),
        timeseries(
            "Last storm: time to resync",
            Description(
                "Time from the last storm's drop until a fraction of its users had resynced; empty until then.",
                "The slowest users (share 1) far behind the median (share 0.5).",
                "The slowest users wait for their backoff: cap it, and raise `--handshake-rate` if the "
                "server's CPU allows it.",
            ),
            SECONDS,
            Series(f"max by (share) ({gauge('loadtest_storm_resync_seconds')})", "share {{share}}"),
            width=4,
            thresholds=Thresholds(2.5, 5),
        ),
        timeseries(
            "Last storm: unaffected users",
            Description(
                "p99 delivery time, during the last storm, of the users that it did not drop.",
                "Above their usual delivery time: the storm slows down all users.",
                "Lower `--handshake-rate` of the server, so that reconnects take less CPU from connected users.",
            ),
            SECONDS,
            Series(f"max({gauge('loadtest_storm_unaffected_seconds')})", "p99", color=ORANGE),
            width=4,
            thresholds=Thresholds(0.1, 0.25),
        ),
        timeseries(
            "Last storm: messages missed",
            Description(
                "Messages that the dropped users of the last storm missed while disconnected.",
                "More than your application can fetch after the reconnect.",
                "The server keeps no history: shorten the time to resync.",
            ),
            COUNT,
            Series(f"sum({gauge('loadtest_storm_missed_messages')})", "missed", color=ORANGE),
            width=4,
        ),
    )
