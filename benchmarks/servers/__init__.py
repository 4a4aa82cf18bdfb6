"""The compared servers: the same chat on other libraries and runtimes, with the same validation and heartbeats."""
