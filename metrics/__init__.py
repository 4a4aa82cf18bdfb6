"""What is measured: the catalog of all metrics, and the collectors over the server's live state."""
