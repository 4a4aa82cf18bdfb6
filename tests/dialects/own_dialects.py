"""Dialects with the options of the real servers' applications, given to Locust as `module:NAME`."""

from __future__ import annotations

from stampede.dialects.signalr import SignalRAck, SignalRDialect, SignalROptions, SignalRTargets
from stampede.dialects.socketio import SocketIoAck, SocketIoDialect, SocketIoEvents, SocketIoOptions

SOCKETIO_ACKNOWLEDGED = SocketIoDialect(
    SocketIoOptions(
        auth='{"token":"{token}"}',
        events=SocketIoEvents(leave="leave"),
        ack=SocketIoAck(join=True, say=True, leave=True),
        echo=True,
    )
)
"""All requests are acknowledged, the client has a token, and senders receive their own messages."""

SIGNALR_ACKNOWLEDGED = SignalRDialect(
    SignalROptions(
        path="/chat?access_token={token}",
        targets=SignalRTargets(leave="RemoveFromGroup"),
        ack=SignalRAck(say=True),
        echo=True,
    )
)
"""All invocations are acknowledged, the client has a token, and senders receive their own messages."""
