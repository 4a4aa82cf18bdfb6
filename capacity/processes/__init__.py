"""The processes of a run: server under test and load generator."""
