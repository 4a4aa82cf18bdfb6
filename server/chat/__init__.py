"""The chat: rooms, presence and fan-out, without sockets, clocks and `await`."""
