"""The row of numbers at the top of the overview."""

from __future__ import annotations

from grafana.panels import COUNT, EVENTS, MESSAGES, SECONDS, SHARE, Description, Panel, Thresholds, stat
from grafana.promql import SERVER, gauge, quantile, rate

# Servers that answered within the displayed time range, but do not now.
_DOWN = f"sum(({gauge('up')} == bool 0) and on (job, instance) last_over_time({gauge(SERVER)}[$__range])) or vector(0)"
_ERRORS = " + ".join(
    (
        rate("chat_handshakes_rejected_total"),
        rate("chat_heartbeat_kills_total"),
        rate("chat_slow_consumer_kills_total"),
        rate("chat_messages_dropped_total", reason="slow"),  # reason="closed": the recipient had disconnected
        rate("chat_invalid_messages_total"),
        rate("chat_rate_limited_total"),
        rate("chat_task_failures_total"),
    )
)
FULLNESS = f"{gauge('chat_connections')} / ({gauge('chat_connection_limit')} > 0)"


def panels() -> tuple[Panel, ...]:
    """Return one row of numbers, which are green if no action is needed."""
    return (
        stat(
            "Servers down",
            Description(
                "Server processes that answered Prometheus within the displayed time range, but do not now.",
                "Anything above 0: its clients are disconnected, or reconnect to the other servers at once.",
                "Check its log and *Connections ended* below; a drained server stops on purpose.",
            ),
            COUNT,
            _DOWN,
            thresholds=Thresholds(None, 1),
            instant=True,
        ),
        stat(
            "Draining",
            Description(
                "Servers in graceful shutdown, which close their connections one by one.",
                "A server that drains without a deployment.",
                "Find the sender of SIGTERM; the balancer must already send new clients to other servers.",
            ),
            COUNT,
            f"sum({gauge('chat_draining')})",
            thresholds=Thresholds(1, None),
        ),
        stat(
            "Connections",
            Description(
                "Open WebSocket connections of all selected servers.",
                "A sudden fall, or a saw-tooth of clients that reconnect repeatedly.",
                "See *Connections ended* for the cause, and check the load balancer.",
            ),
            COUNT,
            f"sum({gauge('chat_connections')})",
        ),
        stat(
            "Fullest server",
            Description(
                "Connections of the fullest server, as a fraction of its limit.",
                "Above 80 %: little capacity is left for the clients of a server that stops. At 100 % it "
                "refuses connections.",
                "Add a server process, or raise `--max-connections` if open files and memory allow it.",
            ),
            SHARE,
            f"max({FULLNESS})",
            thresholds=Thresholds(0.8, 0.95),
        ),
        stat(
            "Deliveries",
            Description(
                "Messages written to clients per second, one for each recipient.",
                "A fall at a constant number of connections: clients are connected but receive nothing.",
                "Compare with *Received messages*; if those are constant, check the fan-out time and the loop lag.",
            ),
            MESSAGES,
            rate("chat_messages_delivered_total"),
        ),
        stat(
            "Fan-out p99",
            Description(
                "99th percentile of the time from receiving a room message to the write for its last member.",
                "Above 100 ms users notice; above 250 ms the service level objective is missed.",
                "See *Event loop lag* and *CPU*: the usual causes are a busy event loop and a very large room.",
            ),
            SECONDS,
            quantile(0.99, "chat_fanout_duration_seconds"),
            thresholds=Thresholds(0.1, 0.25),
        ),
        stat(
            "Loop lag p99",
            Description(
                "Lateness of a periodic timer on the event loop of the slowest server.",
                "Above 50 ms a call blocks the event loop, and every client waits.",
                "See the dashboard *Process and bus*: CPU near one core means too much work, low CPU a blocking call.",
            ),
            SECONDS,
            f"max({quantile(0.99, 'chat_event_loop_lag_seconds', by=('instance',))})",
            thresholds=Thresholds(0.05, 0.25),
        ),
        stat(
            "Errors and drops",
            Description(
                "Handshakes refused, messages refused or dropped, and connections killed, per second.",
                "A constant rate above 0 outside of storms: some clients are not served.",
                "The row *Errors* shows the class and the cause.",
            ),
            EVENTS,
            _ERRORS,
            thresholds=Thresholds(1, 50),
        ),
    )
