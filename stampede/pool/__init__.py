"""All virtual users of one process."""
