"""The summary of a capacity run or a drill for other programs: JSON, JUnit, and Markdown for a CI job."""
