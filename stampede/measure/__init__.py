"""What a run measures: figures, reports, thresholds, health and summary."""
