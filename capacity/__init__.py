"""Capacity planning: how many users a server holds within its SLOs, and its bottleneck."""
