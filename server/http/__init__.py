"""HTTP: requests, responses, and the handshake of a WebSocket."""
