"""Pictures of programs in a terminal, as SVG: `python -m docs.terminal`."""
