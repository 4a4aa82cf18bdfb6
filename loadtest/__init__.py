"""The load test: Locust user classes for the chat protocol, and the engine below them."""
