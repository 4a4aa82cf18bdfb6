"""Additions to Locust's web page."""
