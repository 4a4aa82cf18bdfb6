"""The load test: `locust -f loadtest`. One file for each user class."""
