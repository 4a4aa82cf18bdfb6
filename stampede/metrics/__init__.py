"""Prometheus metrics: the load generator's catalog, and what server and load generator share to export theirs."""
