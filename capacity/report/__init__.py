"""What a run reports: the answer, charts, the report page, comparison and history."""
