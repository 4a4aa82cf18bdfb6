"""How long things take: fan-out, heartbeats, the event loop."""

from __future__ import annotations

from grafana.common import BLUE, GREY, ORANGE, SECONDS, About, Panel, Series, Steps, heat, lines
from grafana.promql import buckets, quantile


def panels() -> tuple[Panel, ...]:
    """Return the three durations that clients feel."""
    return (
        fanout(),
        round_trip(),
        loop_lag(),
    )


def fanout(width: int = 8) -> Panel:
    """Return quantiles of the fan-out."""
    name = "chat_fanout_duration_seconds"
    return lines(
        "Fan-out time",
        About(
            "From the receipt of a room's message until the write to its last member.",
            "p99 above the dashed lines, or far from p50: some rooms wait for others.",
            "See *Event loop lag*; if it is low, the heatmap of recipients shows whether one room is very large.",
        ),
        SECONDS,
        Series(quantile(0.99, name), "p99", color=ORANGE),
        Series(quantile(0.95, name), "p95", color=BLUE),
        Series(quantile(0.5, name), "p50", color=GREY),
        width=width, steps=Steps(0.1, 0.25),
    )  # fmt: skip


def fanout_heat(width: int = 8) -> Panel:
    """Return the fan-out as a heatmap."""
    return heat(
        "Fan-out times",
        About(
            "How many fan-outs a second took how long; the brighter, the more.",
            "A second band above the first: a kind of message, or a room, that is slow.",
            "Look at the same moment in *Recipients*; a band in both is a large room.",
        ),
        SECONDS, buckets("chat_fanout_duration_seconds"), width=width,
    )  # fmt: skip


def round_trip(width: int = 8) -> Panel:
    """Return quantiles of the heartbeat's round trip."""
    name = "chat_ping_rtt_seconds"
    return lines(
        "Heartbeat round trip",
        About(
            "From a heartbeat's ping until the client's pong: network, client and both event loops.",
            "A rise with a calm event loop: the network, or clients that do not come to read.",
            "Near the heartbeat's timeout clients are dropped: see *Heartbeats*.",
        ),
        SECONDS,
        Series(quantile(0.99, name), "p99", color=ORANGE),
        Series(quantile(0.5, name), "p50", color=GREY),
        width=width,
    )  # fmt: skip


def round_trip_heat(width: int = 8) -> Panel:
    """Return the round trip as a heatmap."""
    return heat(
        "Heartbeat round trips",
        About(
            "How many pongs a second came back after how long.",
            "A second, slower band: one network among many, or phones that sleep.",
            "Allow for it with `--heartbeat-timeout` rather than drop those clients.",
        ),
        SECONDS, buckets("chat_ping_rtt_seconds"), width=width,
    )  # fmt: skip


def loop_lag(width: int = 8) -> Panel:
    """Return the event loop's lag by server."""
    return lines(
        "Event loop lag p99",
        About(
            "How late a regular timer runs, by server: what every client waits before it is served.",
            "Above the dashed lines: the loop is busy or blocked.",
            "With CPU near one core the server has too much to do: add one. Without, something blocks: profile it.",
        ),
        SECONDS,
        Series(quantile(0.99, "chat_event_loop_lag_seconds", by=("instance",)), "{{instance}}"),
        width=width, steps=Steps(0.05, 0.25),
    )  # fmt: skip


def loop_lag_heat(width: int = 8) -> Panel:
    """Return the lag as a heatmap."""
    return heat(
        "Event loop lags",
        About(
            "How often a second the timer was how late.",
            "Dots far above the band: single long blocks, which a quantile hides.",
            "Compare with garbage collections and with uploads at the same moment.",
        ),
        SECONDS, buckets("chat_event_loop_lag_seconds"), width=width,
    )  # fmt: skip
