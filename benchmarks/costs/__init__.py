"""Programs that measure what one part costs: metrics, limits, the load generator, its ledger."""
