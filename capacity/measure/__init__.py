"""The data that a run reads: snapshots, metrics pages, Prometheus; and windows between two readings."""
