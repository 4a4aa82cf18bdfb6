"""The process around the chat: logging, limits, TLS, listening sockets, tasks."""
