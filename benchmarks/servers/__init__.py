"""Servers that do the same chat on other foundations: the same messages, the same checks, heartbeats on."""
