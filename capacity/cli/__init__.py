"""The command line: settings, commands, display."""
