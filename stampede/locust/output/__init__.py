"""What a run puts out besides the summary: Locust's statistics, files and log, and Prometheus metrics."""
