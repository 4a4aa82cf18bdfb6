"""The command line: the run, the other commands, and the display."""
