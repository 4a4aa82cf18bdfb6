"""What is measured: the catalog of metrics, histogram buckets and collectors over live state."""
