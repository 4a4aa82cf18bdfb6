"""A load generator for tests, in a thread of its own and without Locust."""
