"""The output of a run besides the summary: Locust's statistics, files and log, and Prometheus metrics."""
