"""The wire: messages, names and frames."""
