"""The wire protocol: messages, names and frames."""
