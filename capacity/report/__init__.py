"""What a run reports: answer, charts, report page, comparison, history."""
