"""WebSocket connections: sending, heartbeats, endpoints."""
