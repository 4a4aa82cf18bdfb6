"""The virtual users of one process."""
