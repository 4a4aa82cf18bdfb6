"""Is it fine: the row of numbers that opens the overview."""

from __future__ import annotations

from grafana.common import COUNT, EVENTS, MESSAGES, SECONDS, SHARE, About, Panel, Steps, number
from grafana.promql import SERVER, gauge, quantile, rate

# Servers that answered within the time shown, and do not now.
_DOWN = f"sum(({gauge('up')} == bool 0) and on (job, instance) last_over_time({gauge(SERVER)}[$__range])) or vector(0)"
_TROUBLE = " + ".join(
    (
        rate("chat_handshakes_rejected_total"),
        rate("chat_heartbeat_kills_total"),
        rate("chat_slow_consumer_kills_total"),
        rate("chat_messages_dropped_total", reason="slow"),  # a recipient that was gone missed nothing
        rate("chat_invalid_messages_total"),
        rate("chat_rate_limited_total"),
        rate("chat_task_failures_total"),
    )
)
FULLNESS = f"{gauge('chat_connections')} / ({gauge('chat_connection_limit')} > 0)"


def panels() -> tuple[Panel, ...]:
    """Return one row of numbers, green when nobody needs to look further."""
    return (
        number(
            "Servers down",
            About(
                "Server processes that answered Prometheus within the time shown and do not now.",
                "Anything above 0: its clients are gone, or coming back to the others all at once.",
                "Look at its log and at *Connections ended* below; a drained server leaves on purpose.",
            ),
            COUNT, _DOWN, steps=Steps(None, 1), instant=True,
        ),
        number(
            "Draining",
            About(
                "Servers that are telling their clients to go, one by one, before they end.",
                "A server that drains though nobody deploys.",
                "Find who sent it SIGTERM; new clients must already go elsewhere.",
            ),
            COUNT, f"sum({gauge('chat_draining')})", steps=Steps(1, None),
        ),
        number(
            "Connections",
            About(
                "Open WebSocket connections of all servers picked above.",
                "A sudden fall, or a saw-tooth of clients that come and go.",
                "See *Connections ended* for the cause, and the load balancer before it.",
            ),
            COUNT, f"sum({gauge('chat_connections')})",
        ),
        number(
            "Fullest server",
            About(
                "Connections of the fullest server, as a share of what it admits.",
                "Above 80 %: little room is left for the clients of a server that goes away. At 100 % it refuses.",
                "Add a server process, or raise `--max-connections` if files and memory allow.",
            ),
            SHARE, f"max({FULLNESS})", steps=Steps(0.8, 0.95),
        ),
        number(
            "Deliveries",
            About(
                "Messages written to clients each second, one for each recipient.",
                "A fall while connections stay: clients are there and hear nothing.",
                "Compare with *Received messages*; if those stay, look at fan-out time and loop lag.",
            ),
            MESSAGES, rate("chat_messages_delivered_total"),
        ),
        number(
            "Fan-out p99",
            About(
                "Time from the receipt of a room's message until the write to its last member; 99 of 100 are faster.",
                "Above 100 ms people notice; above 250 ms the service level is broken.",
                "See *Event loop lag* and *CPU*: a busy loop is the usual cause, a very large room the other.",
            ),
            SECONDS, quantile(0.99, "chat_fanout_duration_seconds"), steps=Steps(0.1, 0.25),
        ),
        number(
            "Loop lag p99",
            About(
                "How late a regular timer runs on the event loop of the worst server.",
                "Above 50 ms something holds the loop, and everything else waits for it.",
                "See *Process*: CPU near one core means too much work, lag without CPU a blocking call.",
            ),
            SECONDS, f"max({quantile(0.99, 'chat_event_loop_lag_seconds', by=('instance',))})",
            steps=Steps(0.05, 0.25),
        ),
        number(
            "Trouble",
            About(
                "Everything refused, dropped or killed each second: handshakes, messages, connections.",
                "A steady rate above 0 in quiet times: somebody is not served.",
                "The row *Errors* says which, and for what cause.",
            ),
            EVENTS, _TROUBLE, steps=Steps(1, 50),
        ),
    )  # fmt: skip
