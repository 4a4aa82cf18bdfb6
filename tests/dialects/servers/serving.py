"""What the chat servers in Python share: flags, counts, a log of warnings, and a socket."""

from __future__ import annotations

import argparse
import logging
import socket
from dataclasses import dataclass

BACKLOG = 2048


@dataclass(slots=True)
class Counts:
    """What a server counted.

    Attributes:
        clients: connected clients.
        members: memberships of rooms at present.
        messages: accepted messages.
        deliveries: messages sent to members.
    """

    clients: int = 0
    members: int = 0
    messages: int = 0
    deliveries: int = 0


def flags() -> argparse.ArgumentParser:
    """Return a parser of the flags that all servers have."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--token", help="the only accepted token; without it every client is accepted")
    parser.add_argument("--never-acknowledge", action="store_true", help="let clients join without an acknowledgement")
    parser.add_argument("--refuse-room", help="a room that nobody may join")
    return parser


def print_warnings() -> None:
    """Print the warnings and errors of all loggers from now on."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")


def print_url(port: int) -> None:
    """Print the line that tells that the server accepts connections."""
    print(f"listening on ws://127.0.0.1:{port}", flush=True)


def listening_socket(port: int) -> socket.socket:
    """Return a socket that accepts connections, and print its URL."""
    listener = socket.create_server(("127.0.0.1", port), backlog=BACKLOG)
    print_url(listener.getsockname()[1])
    return listener
