"""The bus between server processes: nodes, messages, losses, lag."""

from __future__ import annotations

from grafana.panels import COUNT, EVENTS, MESSAGES, ORANGE, SECONDS, Description, Panel, Series, timeseries
from grafana.promql import gauge, quantile, rate


def panels() -> tuple[Panel, ...]:
    """Return the panels of the bus; they stay empty for a single process."""
    return (
        timeseries(
            "Nodes",
            Description(
                "Nodes from which each node receives heartbeats, itself included.",
                "Lines that differ or fall: some nodes do not receive each other's messages, and count too few "
                "members.",
                "Check `chat_bus_connected` of the node that is low, then NATS and the network between them.",
            ),
            COUNT,
            Series(gauge("chat_bus_nodes"), "{{instance}}"),
            Series(gauge("chat_bus_connected"), "{{instance}} connected", color=ORANGE),
            width=6,
        ),
        timeseries(
            "Bus messages",
            Description(
                "Messages on the bus, heartbeats and presence included; chat messages of one room in one event loop "
                "iteration share a message.",
                "`received` at 0 while other nodes publish: the process receives nothing.",
                "The rate grows with messages times nodes, not with members: fewer, larger processes send less.",
            ),
            MESSAGES,
            Series(rate("chat_bus_messages_total", by=("direction",)), "{{direction}}"),
            width=6,
        ),
        timeseries(
            "Lost on the bus",
            Description(
                "Chat messages lost between processes, by cause: the bus delivers at most once.",
                "`disconnected`: no connection to NATS. `backlog`: NATS accepts less than is sent. "
                "`ephemeral`: typing or "
                "presence, dropped in a backlog. `lost`: this process was too slow, or the network lost it. "
                "`too_large`: `max_payload` of NATS is smaller than a chat message.",
                "Check NATS first, then the CPU of the process that loses messages.",
            ),
            EVENTS,
            Series(rate("chat_bus_dropped_total", by=("reason",)), "{{reason}}"),
            width=6,
        ),
        timeseries(
            "Bus lag",
            Description(
                "Time from publishing a message to receiving it, by the wall clocks of both processes.",
                "Above 50 ms within one site: an event loop or NATS is busy.",
                "Compare with *Event loop lag*. Between hosts the figure is only as exact as their clocks.",
            ),
            SECONDS,
            Series(quantile(0.99, "chat_bus_lag_seconds"), "p99", color=ORANGE),
            Series(quantile(0.5, "chat_bus_lag_seconds"), "p50"),
            width=6,
        ),
    )
