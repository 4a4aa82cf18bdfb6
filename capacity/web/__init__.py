"""The live page of a run: a separate process serves the report while it is being made."""
