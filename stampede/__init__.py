"""The load generator: virtual users, the ledger of deliveries, and the measurements."""
