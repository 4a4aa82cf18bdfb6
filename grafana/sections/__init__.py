"""The rows of the dashboards, one module for each subject."""
