"""Health checks of the load generator and its machine."""
