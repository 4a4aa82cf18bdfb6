"""One client of the chat protocol."""
