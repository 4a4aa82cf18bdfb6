"""Models fitted to a run: scalability, projection, sizing, action mix."""
