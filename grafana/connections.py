"""Lives of connections: how they begin, how long they last, who keeps them alive."""

from __future__ import annotations

from grafana.common import EVENTS, GREEN, MESSAGES, ORANGE, RED, SECONDS, About, Panel, Series, heat, lines
from grafana.durations import round_trip, round_trip_heat
from grafana.promql import buckets, rate


def panels() -> tuple[Panel, ...]:
    """Return connections and how they end."""
    return (
        lines(
            "Connections opened and ended",
            About(
                "WebSocket connections accepted and ended each second.",
                "Both high at once: clients come and go in circles. Ended far above opened: a storm begins.",
                "In a storm watch how fast *opened* comes back; `--handshake-rate` bounds it.",
            ),
            EVENTS,
            Series(rate("chat_connections_opened_total"), "opened", color=GREEN),
            Series(rate("chat_connections_closed_total"), "ended", color=ORANGE),
            width=6,
        ),
        heat(
            "Sessions",
            About(
                "How many ended connections a second had lasted how long.",
                "Short ones in numbers: clients that cannot stay.",
                "See *Connections ended* for the cause.",
            ),
            SECONDS, buckets("chat_session_duration_seconds"), width=6,
        ),
        lines(
            "Slow consumers dropped",
            About(
                "Clients dropped each second because they did not read what they were sent (code 1013).",
                "Drops that do not end: the same clients come back and fall behind again.",
                "They may be in too busy a room for their network; `--buffer-hard-limit` bounds what is kept for one.",
            ),
            EVENTS,
            Series(rate("chat_slow_consumer_kills_total"), "dropped", color=RED),
            width=6,
        ),
        lines(
            "Messages spared",
            About(
                "Messages each second that clients who are behind were not sent, by type.",
                "`chatMessage`: more is lost to them than typing and presence.",
                "It stops when they read again, or are dropped. Both are counted beside this.",
            ),
            MESSAGES, Series(rate("chat_messages_dropped_total", by=("type",), reason="slow"), "{{type}}"), width=6,
        ),
    )  # fmt: skip


def heartbeats() -> tuple[Panel, ...]:
    """Return pings, pongs and those who gave none."""
    return (
        lines(
            "Heartbeats",
            About(
                "Pings sent to clients each second, and clients dropped because nothing at all came from them.",
                "Kills in a burst: a network, a proxy or a data centre is gone.",
                "Kills at a steady low rate are phones that left; a burst belongs with *Connections ended*.",
            ),
            EVENTS,
            Series(rate("chat_heartbeat_pings_total"), "pings", color=GREEN),
            Series(rate("chat_heartbeat_kills_total"), "dropped", color=RED),
        ),
        round_trip(),
        round_trip_heat(),
    )  # fmt: skip
