"""Whole capacity runs compared with known limits."""
