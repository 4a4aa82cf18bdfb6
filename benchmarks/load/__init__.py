"""The benchmark's own client: a WebSocket load from one thread, without a library whose cost would be measured too."""
