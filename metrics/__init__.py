"""Metrics: the catalog of all of them, and the collectors that read the server's live state."""
