"""The load generator: virtual users, ledger, measurement."""
