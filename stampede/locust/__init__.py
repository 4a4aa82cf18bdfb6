"""The load generator in Locust: users, workers, master, web UI."""
