"""What a server process needs beside the chat: logging, limits, TLS, listening sockets, background tasks."""
