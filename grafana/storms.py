"""Storms: connections that the load test drops on purpose, and how they come back."""

from __future__ import annotations

from grafana.common import BLUE, COUNT, EVENTS, GREEN, ORANGE, SECONDS, About, Panel, Series, Steps, lines
from grafana.promql import gauge, rate


def panels() -> tuple[Panel, ...]:
    """Return the last storm on command, and all drops."""
    return (
        lines(
            "Drops",
            About(
                "Connections that the load test dropped each second, by cause, and storms on command.",
                "Drops without a cause of your own: somebody commands storms.",
                "Drops that nobody asked for are not here, but in *Connections ended* of the server.",
            ),
            EVENTS,
            Series(rate("loadtest_drops_total", by=("cause",)), "{{cause}}"),
            Series(rate("loadtest_storms_total"), "storms on command", dashed=True),
            width=6,
        ),
        lines(
            "Last storm: dropped and back",
            About(
                "Users that the last storm on command dropped, those in their room and hearing again, and the most "
                "that came back within one second.",
                "The two lines apart for long: some users stay away.",
                "See *Handshakes refused* and the policy of `--backoff`.",
            ),
            COUNT,
            Series(f"sum({gauge('loadtest_storm_dropped')})", "dropped", color=ORANGE),
            Series(f"sum({gauge('loadtest_storm_resynced')})", "back", color=GREEN),
            Series(f"sum({gauge('loadtest_storm_peak_accepts')})", "back in the busiest second", color=BLUE),
            width=6,
        ),
        lines(
            "Last storm: time until back",
            About(
                "From the last storm's drop until a share of its users were back; nothing until they are.",
                "The last ones (share 1) far behind half of them.",
                "The last ones wait for their backoff: cap it, and raise `--handshake-rate` if the server is calm.",
            ),
            SECONDS,
            Series(f"max by (share) ({gauge('loadtest_storm_resync_seconds')})", "share {{share}}"),
            width=4, steps=Steps(2.5, 5),
        ),
        lines(
            "Last storm: the others",
            About(
                "p99 of deliveries, during the last storm, to users that it did not touch.",
                "Above their usual delivery time: the storm is everybody's.",
                "Lower `--handshake-rate` of the server, so that newcomers take less from those who stayed.",
            ),
            SECONDS,
            Series(f"max({gauge('loadtest_storm_unaffected_seconds')})", "p99", color=ORANGE),
            width=4, steps=Steps(0.1, 0.25),
        ),
        lines(
            "Last storm: messages missed",
            About(
                "Messages that the users dropped by the last storm did not get while they were away.",
                "More than your application can fetch again when they are back.",
                "The server keeps no history: shorten the time until they are back.",
            ),
            COUNT, Series(f"sum({gauge('loadtest_storm_missed_messages')})", "missed", color=ORANGE), width=4,
        ),
    )  # fmt: skip
