"""Services of a server process beside the chat: logging, limits, TLS, listening sockets, background tasks."""
