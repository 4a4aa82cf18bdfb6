"""How a run is judged: service-level objectives, thresholds in windows, and the summary with the verdict."""
