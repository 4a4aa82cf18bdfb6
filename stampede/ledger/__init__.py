"""The ledger of deliveries: owed, received, lost; pure."""
