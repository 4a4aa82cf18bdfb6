"""The search for the capacity, step by step."""
