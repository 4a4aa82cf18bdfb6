"""Rooms and who is in them."""

from __future__ import annotations

from grafana.common import BLUE, COUNT, EVENTS, GREEN, MESSAGES, ORANGE, About, Panel, Series, heat, lines
from grafana.durations import fanout, fanout_heat
from grafana.promql import buckets, gauge, mean, rate


def panels() -> tuple[Panel, ...]:
    """Return how many rooms, how large, and who comes and goes."""
    return (
        lines(
            "Rooms",
            About(
                "Rooms with at least one member, of all servers picked above.",
                "Rooms that only grow: clients join new ones and never leave.",
                "Rooms close with their last member; look for clients that stay connected for nothing.",
            ),
            COUNT, Series(f"sum({gauge('chat_rooms')})", "rooms"), width=6,
        ),
        lines(
            "Largest room",
            About(
                "Members of the largest room of each server.",
                "A room far larger than the others: each of its messages costs that many writes.",
                "Above `--presence-threshold` comings and goings are told in sum; consider smaller rooms.",
            ),
            COUNT, Series(gauge("chat_room_members_max"), "{{instance}}"), width=6,
        ),
        lines(
            "Comings and goings",
            About(
                "Joins of rooms, departures, and rooms opened by a first member, each second.",
                "Joins and departures together, far above normal: a storm of clients that lose their connection.",
                "See *Connections ended* for why they left.",
            ),
            EVENTS,
            Series(rate("chat_room_joins_total"), "joined", color=GREEN),
            Series(rate("chat_room_leaves_total"), "left", color=ORANGE),
            Series(rate("chat_rooms_created_total"), "opened", color=BLUE, dashed=True),
            width=12,
        ),
    )  # fmt: skip


def fan_out() -> tuple[Panel, ...]:
    """Return how widely messages spread, and how long that takes."""
    return (
        heat(
            "Recipients",
            About(
                "How many room messages a second had how many recipients.",
                "Weight that wanders up: deliveries grow with the product of messages and recipients.",
                "Size servers by deliveries, not by connections.",
            ),
            COUNT, buckets("chat_fanout_recipients"), width=8, cells=MESSAGES,
        ),
        lines(
            "Recipients of a message",
            About(
                "Mean number of recipients of a room's message.",
                "A rise: every message costs that much more.",
                "Multiply with the messages received to see the deliveries that follow.",
            ),
            COUNT, Series(mean("chat_fanout_recipients"), "mean", color=BLUE), width=4,
        ),
        fanout_heat(width=6),
        fanout(width=6),
    )  # fmt: skip
