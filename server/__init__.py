"""The chat server: WebSocket rooms with fan-out, uploads, heartbeats and Prometheus metrics."""

__version__ = "0.1.0"
