"""Rate and errors: what comes in, what goes out, what is refused."""

from __future__ import annotations

from grafana.common import BYTES_PER_SECOND, EVENTS, MESSAGES, ORANGE, About, Panel, Series, lines
from grafana.promql import rate


def rates() -> tuple[Panel, ...]:
    """Return messages and bytes, in and out."""
    return (
        lines(
            "Received messages",
            About(
                "Valid messages of clients, by type; a chunk of a file is one message.",
                "A type that falls to 0, or one that grows without more clients.",
                "`chatMessage` is the work: it fans out. Many `joinRoom` are a storm of clients that come back.",
            ),
            MESSAGES, Series(rate("chat_messages_received_total", by=("type",)), "{{type}}"), stacked=True,
        ),
        lines(
            "Delivered messages",
            About(
                "Messages written to clients, one for each recipient, by type.",
                "`userJoined` and `userLeft` above `chatMessage`: presence costs more than chat.",
                "Lower `--presence-threshold`, so that large rooms hear of presence in sum.",
            ),
            MESSAGES, Series(rate("chat_messages_delivered_total", by=("type",)), "{{type}}"), stacked=True,
        ),
        lines(
            "Traffic",
            About(
                "Bytes of WebSocket frames, headers included, TLS and TCP not.",
                "Sent bytes near what the network carries; received bytes without messages.",
                "Sent grows with room size times messages: smaller rooms, or more servers.",
            ),
            BYTES_PER_SECOND,
            Series(rate("chat_sent_bytes_total"), "sent"),
            Series(rate("chat_received_bytes_total"), "received", color=ORANGE),
        ),
    )  # fmt: skip


def errors() -> tuple[Panel, ...]:
    """Return who was sent away, who was not let in, which messages went nowhere, and what failed inside."""
    return (
        lines(
            "Connections ended",
            About(
                "Ended connections each second, by cause.",
                "`heartbeat` or `vanished` in numbers: a network is gone. `slow_consumer`: clients that do not read. "
                "`internal_error`: a fault of the server.",
                "`drain` is a deployment. For the others, the log has one line for each connection with its cause.",
            ),
            EVENTS, Series(rate("chat_connections_closed_total", by=("reason",)), "{{reason}}"), width=6,
        ),
        lines(
            "Handshakes refused",
            About(
                "Upgrade requests refused each second, by cause.",
                "`full`: no room left. `handshake_rate`: a storm, spread on purpose. `unauthorized`: tokens expired.",
                "`full` needs another server; a storm needs patience, and clients that back off with jitter.",
            ),
            EVENTS, Series(rate("chat_handshakes_rejected_total", by=("reason",)), "{{reason}}"), width=6,
        ),
        lines(
            "Messages refused or dropped",
            About(
                "Messages that went nowhere: malformed, over the sender's limit, or not written to a recipient.",
                "*Dropped*: recipients do not keep up. *Recipient gone* is no loss: its connection had just ended.",
                "Malformed ones come from a client of another version; a limit may be too tight, or someone floods.",
            ),
            MESSAGES,
            Series(rate("chat_invalid_messages_total", by=("reason",)), "malformed: {{reason}}"),
            Series(rate("chat_rate_limited_total", by=("limit",)), "over the limit: {{limit}}"),
            Series(rate("chat_messages_dropped_total", reason="slow"), "dropped: slow reader"),
            Series(rate("chat_messages_dropped_total", reason="closed"), "recipient gone"),
            width=6,
        ),
        lines(
            "Task failures",
            About(
                "Unexpected errors in the server's long-lived tasks each second, by task.",
                "Anything but 0 is a bug of the server. The task goes on; what it was doing then is lost.",
                "The log has an error `task failed` with the cause and the place in the code.",
            ),
            EVENTS, Series(rate("chat_task_failures_total", by=("task",)), "{{task}}"), width=6,
        ),
    )  # fmt: skip
