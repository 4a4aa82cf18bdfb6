"""The agents of the master and the worker processes, and how users are divided among the workers."""
