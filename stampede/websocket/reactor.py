"""All sockets of one gevent process, watched by one nested epoll.

Three ways were measured on one core of a shared machine, fed by a server on the other, with nothing but reading and
splitting frames (CPU per delivery, lowest to highest of several runs; epoll and watchers differ by less than noise):

| | 200 connections, 50 000/s | 2 000 connections, 19 000/s | per connection |
|---|---|---|---|
| a reader greenlet per connection | 8.4-11.0 us | 14.4-24.3 us | 8 KB more |
| a watcher of the hub per connection | 7.1-8.1 us | 10.6-14.0 us | |
| this: one watcher, one nested epoll | 6.4-8.2 us | 9.4-12.8 us | |

Edge-triggered, since the kernel asks a socket twice otherwise: a tenth of what reading one costs. A lone frame taken
where it comes in, without the splitter, is another fifth (`Connection.on_readable`). Fewer wake-ups of the pacer (30 to
50 us each on a virtual machine) are worth more than less work in them. What did not pay: smaller reads, `recv` or
`recv_into` in place of `os.read`, a timer of 2 or 3 ms (sends as much later for a tenth of a message's cost).

In a real run against the bundled server, sending and statistics included (`benchmarks.costs.engine`, idle machine):
22.4 us at 19 000/s over 2 000 users, 14.1 us at 49 500/s and 5.0 us at 197 000/s over 200 users. A busy machine
shows less at low rates, 15 to 19 us in place of the first, since fewer wake-ups find more. Opening a connection and its
handshake costs 0.4 ms. A user takes 17 KB, Locust's greenlet included: 10 000 users in 217 MiB.
"""

from __future__ import annotations

from select import EPOLLERR, EPOLLET, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLRDHUP
from typing import TYPE_CHECKING, Final, Protocol

from gevent import get_hub
from gevent.monkey import get_original

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

_EVENTS: Final = 64
_ROUNDS: Final = 16  # then timers and greenlets get their turn
_EDGES: Final = EPOLLET | EPOLLRDHUP
_ENDED: Final = EPOLLRDHUP | EPOLLHUP | EPOLLERR


class Watched(Protocol):
    """A connection, as the reactor sees it; called in the hub, must neither block nor switch greenlets."""

    def on_readable(self) -> bool:
        """Read once; return whether there may be more. Who leaves something behind must ask for it by `change`."""

    def on_writable(self) -> None:
        """Go on writing."""

    def abort(self) -> None:
        """Close the socket at once."""


class Reactor:
    """The sockets of one process.

    Args:
        rng: source of masking keys.
        on_fault: called with what a receiver raised; a fault costs one connection, never the others.
    """

    def __init__(self, rng: Random, on_fault: Callable[[Exception], None]) -> None:
        self.rng = rng
        self._on_fault = on_fault
        self._connections: dict[int, Watched] = {}
        # gevent's monkey patching removes epoll from `select`, since blocking in it would block everything.
        self._epoll = get_original("select", "epoll")()
        self._watcher = get_hub().loop.io(self._epoll.fileno(), 1)
        self._watcher.start(self._drain)

    def __len__(self) -> int:
        """Return the number of sockets, those still connecting included."""
        return len(self._connections)

    def close(self) -> None:
        """Drop all connections and stop watching."""
        for connection in list(self._connections.values()):
            connection.abort()
        self._watcher.stop()
        self._watcher.close()
        self._epoll.close()

    def add(self, fd: int, connection: Watched, events: int) -> None:
        """Watch a socket."""
        self._connections[fd] = connection
        self._epoll.register(fd, events | _EDGES)

    def change(self, fd: int, events: int) -> None:
        """Watch a socket for other events, or tell of the same once more if they still hold."""
        if fd in self._connections:
            self._epoll.modify(fd, events | _EDGES)

    def remove(self, fd: int) -> None:
        """Watch a socket no longer, if it is watched; before it is closed."""
        if self._connections.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def _drain(self) -> None:
        poll = self._epoll.poll
        find = self._connections.get
        for _ in range(_ROUNDS):
            ready = poll(0, _EVENTS)
            if not ready:
                return
            for fd, events in ready:
                connection = find(fd)
                if connection is None:  # closed by another one's callback
                    continue
                try:
                    if events == EPOLLIN:
                        connection.on_readable()
                    else:
                        self._serve(fd, connection, events)
                except Exception as error:  # noqa: BLE001 # whatever it is, it must not reach the others
                    connection.abort()
                    self._on_fault(error)

    def _serve(self, fd: int, connection: Watched, events: int) -> None:
        """React to anything but mere readability; of an end there is no second word, so it is read up to there."""
        if events & EPOLLOUT:
            connection.on_writable()
        while events & ~EPOLLOUT and self._connections.get(fd) is connection and connection.on_readable():
            if not events & _ENDED:
                break
