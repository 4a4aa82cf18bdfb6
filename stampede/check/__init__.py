"""The check of a server: an exchange of two users, as data, and its report. It runs without Locust."""
