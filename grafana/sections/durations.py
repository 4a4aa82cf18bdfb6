"""Durations: fan-out, heartbeat round trip, event loop lag."""

from __future__ import annotations

from grafana.panels import BLUE, GREY, ORANGE, SECONDS, Description, Panel, Series, Thresholds, heatmap, timeseries
from grafana.promql import buckets, quantile


def panels() -> tuple[Panel, ...]:
    """Return the panels of the three durations that affect clients."""
    return (
        fanout(),
        round_trip(),
        loop_lag(),
    )


def fanout(width: int = 8) -> Panel:
    """Return the quantiles of the fan-out time."""
    name = "chat_fanout_duration_seconds"
    return timeseries(
        "Fan-out time",
        Description(
            "Time from receiving a room message to the write for its last member.",
            "p99 above the dashed lines, or far from p50: some rooms delay others.",
            "See *Event loop lag*; if it is low, the heatmap *Recipients* shows whether one room is very large.",
        ),
        SECONDS,
        Series(quantile(0.99, name), "p99", color=ORANGE),
        Series(quantile(0.95, name), "p95", color=BLUE),
        Series(quantile(0.5, name), "p50", color=GREY),
        width=width,
        thresholds=Thresholds(0.1, 0.25),
    )


def fanout_heatmap(width: int = 8) -> Panel:
    """Return the heatmap of the fan-out time."""
    return heatmap(
        "Fan-out times",
        Description(
            "Room messages per second, by fan-out time; brighter cells are more.",
            "A second band above the first: one room or one type of message is slow.",
            "Compare with *Recipients* at the same time; a band in both is a large room.",
        ),
        SECONDS,
        buckets("chat_fanout_duration_seconds"),
        width=width,
    )


def round_trip(width: int = 8) -> Panel:
    """Return the quantiles of the heartbeat round trip."""
    name = "chat_ping_rtt_seconds"
    return timeseries(
        "Heartbeat round trip",
        Description(
            "Time from a heartbeat ping to the client's pong: the network, the client and both event loops.",
            "A rise without event loop lag: the network is slow, or clients read late.",
            "Near the heartbeat timeout clients are disconnected: see *Heartbeats*.",
        ),
        SECONDS,
        Series(quantile(0.99, name), "p99", color=ORANGE),
        Series(quantile(0.5, name), "p50", color=GREY),
        width=width,
    )


def round_trip_heatmap(width: int = 8) -> Panel:
    """Return the heatmap of the heartbeat round trip."""
    return heatmap(
        "Heartbeat round trips",
        Description(
            "Pongs per second, by round trip.",
            "A second, slower band: one slow network, or sleeping phones.",
            "Raise `--heartbeat-timeout` rather than disconnect those clients.",
        ),
        SECONDS,
        buckets("chat_ping_rtt_seconds"),
        width=width,
    )


def loop_lag(width: int = 8) -> Panel:
    """Return the event loop lag by server."""
    return timeseries(
        "Event loop lag p99",
        Description(
            "Lateness of a periodic timer, by server: every client of the server waits as long.",
            "Above the dashed lines: the event loop is busy or blocked.",
            "With CPU near one core, add a server process. With low CPU a call blocks the loop: profile the server.",
        ),
        SECONDS,
        Series(quantile(0.99, "chat_event_loop_lag_seconds", by=("instance",)), "{{instance}}"),
        width=width,
        thresholds=Thresholds(0.05, 0.25),
    )


def loop_lag_heatmap(width: int = 8) -> Panel:
    """Return the heatmap of the event loop lag."""
    return heatmap(
        "Event loop lags",
        Description(
            "Timer events per second, by lateness.",
            "Cells far above the band: single long blocks, which a quantile hides.",
            "Compare with garbage collections and uploads at the same time.",
        ),
        SECONDS,
        buckets("chat_event_loop_lag_seconds"),
        width=width,
    )
