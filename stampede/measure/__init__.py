"""The measurements of a run and its verdict: figures, reports, thresholds and summary."""
