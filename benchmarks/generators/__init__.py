"""The comparison of load generators: `python -m benchmarks.generators`."""
