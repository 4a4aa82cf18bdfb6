"""Reconnect storms of a run."""
