"""Additions to Locust's web UI and output files."""
