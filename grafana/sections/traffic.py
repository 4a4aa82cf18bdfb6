"""Rates and errors: messages and bytes in and out, refusals, failures."""

from __future__ import annotations

from grafana.panels import BYTES_PER_SECOND, EVENTS, MESSAGES, ORANGE, Description, Panel, Series, timeseries
from grafana.promql import rate


def rates() -> tuple[Panel, ...]:
    """Return the panels of messages and bytes, in and out."""
    return (
        timeseries(
            "Received messages",
            Description(
                "Valid messages from clients, by type; a chunk of a file is one message.",
                "A type that falls to 0, or that grows without more clients.",
                "`chatMessage` causes the work, because it fans out. Many `joinRoom` are a reconnect storm.",
            ),
            MESSAGES,
            Series(rate("chat_messages_received_total", by=("type",)), "{{type}}"),
            stacked=True,
        ),
        timeseries(
            "Delivered messages",
            Description(
                "Messages written to clients, one for each recipient, by type.",
                "`userJoined` and `userLeft` above `chatMessage`: presence costs more than chat.",
                "Lower `--presence-threshold`, so that presence in large rooms is coalesced.",
            ),
            MESSAGES,
            Series(rate("chat_messages_delivered_total", by=("type",)), "{{type}}"),
            stacked=True,
        ),
        timeseries(
            "Traffic",
            Description(
                "Bytes of WebSocket frames, with headers, without TLS and TCP.",
                "Sent bytes near the network's capacity; received bytes without messages.",
                "Sent bytes grow with room size times messages: use smaller rooms or more servers.",
            ),
            BYTES_PER_SECOND,
            Series(rate("chat_sent_bytes_total"), "sent"),
            Series(rate("chat_received_bytes_total"), "received", color=ORANGE),
        ),
    )


def errors() -> tuple[Panel, ...]:
    """Return the panels of ended connections, refused handshakes, refused messages and task failures."""
    return (
        timeseries(
            "Connections ended",
            Description(
                "Ended connections per second, by cause.",
                "Many `heartbeat` or `vanished`: a network failed. `slow_consumer`: clients that do not read. "
                "`internal_error`: a bug of the server.",
                "`drain` is a deployment. For other causes the log has one line for each connection.",
            ),
            EVENTS,
            Series(rate("chat_connections_closed_total", by=("reason",)), "{{reason}}"),
            width=6,
        ),
        timeseries(
            "Handshakes refused",
            Description(
                "Upgrade requests refused per second, by cause.",
                "`full`: the connection limit. `handshake_rate`: a reconnect storm, slowed down on purpose. "
                "`unauthorized`: expired tokens.",
                "For `full` add a server. A storm passes if clients back off with jitter.",
            ),
            EVENTS,
            Series(rate("chat_handshakes_rejected_total", by=("reason",)), "{{reason}}"),
            width=6,
        ),
        timeseries(
            "Messages refused or dropped",
            Description(
                "Messages that were malformed, over the sender's limit, or not written to a recipient.",
                "*Dropped*: recipients read too slowly. *Recipient disconnected* is not a loss: "
                "the connection had just ended.",
                "Malformed messages come from a client of another version. Over the limit: "
                "the limit is too low, or a client sends too much.",
            ),
            MESSAGES,
            Series(rate("chat_invalid_messages_total", by=("reason",)), "malformed: {{reason}}"),
            Series(rate("chat_rate_limited_total", by=("limit",)), "over the limit: {{limit}}"),
            Series(rate("chat_messages_dropped_total", reason="slow"), "dropped: slow reader"),
            Series(rate("chat_messages_dropped_total", reason="closed"), "recipient disconnected"),
            width=6,
        ),
        timeseries(
            "Task failures",
            Description(
                "Unexpected errors in the server's long-lived tasks per second, by task.",
                "Anything but 0 is a bug of the server. The task continues; its current step is lost.",
                "The log has an error `task failed` with the cause and the traceback.",
            ),
            EVENTS,
            Series(rate("chat_task_failures_total", by=("task",)), "{{task}}"),
            width=6,
        ),
    )
