"""A client of the chat protocol."""
