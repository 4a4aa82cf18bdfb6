"""The ledger of deliveries: expected, received and lost; pure."""
