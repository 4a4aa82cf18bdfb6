"""Options, settings, SLOs and secrets of a run."""
