"""The chat itself: rooms, members, fan-out; no sockets, no clock, no await."""
