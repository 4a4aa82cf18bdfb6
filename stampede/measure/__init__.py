"""What a run measures, and what it says of the generator itself."""
