"""A WebSocket client for thousands of connections in one process."""
