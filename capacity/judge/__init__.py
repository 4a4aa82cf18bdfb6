"""The verdict on a step, and its bottleneck."""
