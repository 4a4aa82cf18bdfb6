"""Dialects that a TOML file describes: any protocol of JSON or text messages. `parsing.py` is the entry; pure."""
