"""Drills: users are held while a command disturbs the server."""
