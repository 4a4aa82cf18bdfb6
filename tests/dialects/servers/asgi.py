"""Serve an ASGI application on uvicorn."""

from __future__ import annotations

from typing import Any

import uvicorn

from tests.dialects.servers.serving import BACKLOG, listening_socket, print_warnings


def serve(app: Any, port: int) -> None:
    """Serve until a signal."""
    print_warnings()
    config = uvicorn.Config(app, ws="websockets-sansio", log_level="warning", backlog=BACKLOG)
    uvicorn.Server(config).run(sockets=[listening_socket(port)])
