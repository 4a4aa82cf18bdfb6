"""Rooms, their members and their fan-out."""

from __future__ import annotations

from grafana.panels import BLUE, COUNT, EVENTS, GREEN, MESSAGES, ORANGE, Description, Panel, Series, heatmap, timeseries
from grafana.promql import buckets, gauge, mean, rate
from grafana.sections.durations import fanout, fanout_heatmap


def panels() -> tuple[Panel, ...]:
    """Return the panels of rooms, the largest room, joins and leaves."""
    return (
        timeseries(
            "Rooms",
            Description(
                "Rooms with at least one member, of all selected servers.",
                "Rooms that only increase: clients join new ones and never leave.",
                "A room closes with its last member; find clients that never leave their rooms.",
            ),
            COUNT,
            Series(f"sum({gauge('chat_rooms')})", "rooms"),
            width=6,
        ),
        timeseries(
            "Largest room",
            Description(
                "Members of the largest room of each server.",
                "A room far larger than the others: each of its messages costs that many writes.",
                "Above `--presence-threshold` presence is coalesced; consider smaller rooms.",
            ),
            COUNT,
            Series(gauge("chat_room_members_max"), "{{instance}}"),
            width=6,
        ),
        timeseries(
            "Joins and leaves",
            Description(
                "Joins, leaves and new rooms per second.",
                "Joins and leaves both far above normal: a reconnect storm.",
                "See *Connections ended* for the cause.",
            ),
            EVENTS,
            Series(rate("chat_room_joins_total"), "joined", color=GREEN),
            Series(rate("chat_room_leaves_total"), "left", color=ORANGE),
            Series(rate("chat_rooms_created_total"), "opened", color=BLUE, dashed=True),
            width=12,
        ),
    )


def fan_out() -> tuple[Panel, ...]:
    """Return the panels of recipients and fan-out time."""
    return (
        heatmap(
            "Recipients",
            Description(
                "Room messages per second, by number of recipients.",
                "A shift upwards: deliveries grow with messages times recipients.",
                "Size servers by deliveries, not by connections.",
            ),
            COUNT,
            buckets("chat_fanout_recipients"),
            width=8,
            cells=MESSAGES,
        ),
        timeseries(
            "Recipients of a message",
            Description(
                "Mean number of recipients of a room message.",
                "A rise: every message costs more.",
                "Multiply by *Received messages* to get the deliveries.",
            ),
            COUNT,
            Series(mean("chat_fanout_recipients"), "mean", color=BLUE),
            width=4,
        ),
        fanout_heatmap(width=6),
        fanout(width=6),
    )
