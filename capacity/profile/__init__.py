"""Profile the CPU of the server under test: which functions it spends its time in."""
