"""Models fitted to a run: scalability, projection, sizing, user mix."""
