"""What a run measures, and how it is judged: figures, reports, thresholds and summary."""
