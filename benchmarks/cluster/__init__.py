"""Programs that measure what several server processes and NATS cost."""
