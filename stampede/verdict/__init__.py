"""The verdict of a run: service-level objectives, thresholds in windows, and the summary."""
