"""The bus between server processes: who hears whom, what travels, what is lost, how long it takes."""

from __future__ import annotations

from grafana.common import COUNT, EVENTS, MESSAGES, ORANGE, SECONDS, About, Panel, Series, lines
from grafana.promql import gauge, quantile, rate


def panels() -> tuple[Panel, ...]:
    """Return what several server processes have between them; empty where one is alone."""
    return (
        lines(
            "Nodes",
            About(
                "Server processes that each one hears, itself included.",
                "Lines that differ, or fall: some do not hear each other, and count fewer members than there are.",
                "See `chat_bus_connected` of the one that is low, then NATS and the network between.",
            ),
            COUNT,
            Series(gauge("chat_bus_nodes"), "{{instance}}"),
            Series(gauge("chat_bus_connected"), "{{instance}} connected", color=ORANGE),
            width=6,
        ),
        lines(
            "Bus messages",
            About(
                "Messages on the bus, beats and presence included; the chat of a room and a moment is one.",
                "`received` at rest while others publish: a process that is deaf.",
                "It grows with messages times nodes, not with members: fewer, larger processes carry less.",
            ),
            MESSAGES, Series(rate("chat_bus_messages_total", by=("direction",)), "{{direction}}"), width=6,
        ),
        lines(
            "Lost on the bus",
            About(
                "Chat messages that did not get from one process to another, by cause: the bus delivers at most once.",
                "`disconnected`: the bus was away. `backlog`: it takes less than is said. `ephemeral`: so it does, or "
                "this process is too slow for it. `lost`: it was far too slow, or the network lost it. "
                "`too_large`: NATS' `max_payload` is smaller than a chat message.",
                "Look at the bus first, then at the CPU of the process that loses.",
            ),
            EVENTS, Series(rate("chat_bus_dropped_total", by=("reason",)), "{{reason}}"), width=6,
        ),
        lines(
            "Bus lag",
            About(
                "Message put on the bus until taken off, by the wall clocks of both processes.",
                "Above 50 ms on one site: the loop of the one or the other is busy, or NATS is.",
                "Compare with *Event loop lag*. Between hosts it is no more exact than their clocks.",
            ),
            SECONDS,
            Series(quantile(0.99, "chat_bus_lag_seconds"), "p99", color=ORANGE),
            Series(quantile(0.5, "chat_bus_lag_seconds"), "p50"),
            width=6,
        ),
    )  # fmt: skip
