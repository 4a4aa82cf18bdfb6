"""The types of `report.json`."""
