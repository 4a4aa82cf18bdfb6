"""Connections: opened, ended, slow consumers, heartbeats."""

from __future__ import annotations

from grafana.panels import (
    EVENTS,
    GREEN,
    MESSAGES,
    ORANGE,
    RED,
    SECONDS,
    Description,
    Panel,
    Series,
    heatmap,
    timeseries,
)
from grafana.promql import buckets, rate
from grafana.sections.durations import round_trip, round_trip_heatmap


def panels() -> tuple[Panel, ...]:
    """Return the panels of opened and ended connections."""
    return (
        timeseries(
            "Connections opened and ended",
            Description(
                "WebSocket connections accepted and ended each second.",
                "Both high at once: clients reconnect repeatedly. Ended far above opened: a reconnect storm begins.",
                "In a storm check how fast *opened* recovers; `--handshake-rate` bounds it.",
            ),
            EVENTS,
            Series(rate("chat_connections_opened_total"), "opened", color=GREEN),
            Series(rate("chat_connections_closed_total"), "ended", color=ORANGE),
            width=6,
        ),
        heatmap(
            "Sessions",
            Description(
                "Ended connections per second, by their duration.",
                "Many short connections: clients lose their connections soon after they connect.",
                "See *Connections ended* for the cause.",
            ),
            SECONDS,
            buckets("chat_session_duration_seconds"),
            width=6,
        ),
        timeseries(
            "Slow consumers dropped",
            Description(
                "Slow consumers disconnected per second, with close code 1013.",
                "Disconnects that do not stop: the same clients reconnect and fall behind again.",
                "Their rooms may be too busy for their network; `--buffer-hard-limit` bounds the buffer of each.",
            ),
            EVENTS,
            Series(rate("chat_slow_consumer_kills_total"), "dropped", color=RED),
            width=6,
        ),
        timeseries(
            "Messages dropped for slow consumers",
            Description(
                "Messages per second that were dropped because their recipient was a slow consumer, by type.",
                "`chatMessage`: recipients lose more than typing notices and presence.",
                "Drops stop when the clients read again or are disconnected; see the panels beside this one.",
            ),
            MESSAGES,
            Series(rate("chat_messages_dropped_total", by=("type",), reason="slow"), "{{type}}"),
            width=6,
        ),
    )


def heartbeats() -> tuple[Panel, ...]:
    """Return the panels of heartbeats."""
    return (
        timeseries(
            "Heartbeats",
            Description(
                "Pings sent to clients per second, and clients disconnected after a heartbeat timeout.",
                "A burst of disconnects: a network, a proxy or a data centre failed.",
                "A steady low rate is normal for phones that lose their network; for a burst see *Connections ended*.",
            ),
            EVENTS,
            Series(rate("chat_heartbeat_pings_total"), "pings", color=GREEN),
            Series(rate("chat_heartbeat_kills_total"), "dropped", color=RED),
        ),
        round_trip(),
        round_trip_heatmap(),
    )
