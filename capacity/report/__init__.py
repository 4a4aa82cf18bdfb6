"""The report of a run: the answer, charts, the report page, comparison and history."""
