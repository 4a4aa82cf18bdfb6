"""The reactor: one nested epoll watches all sockets of a gevent process, and one watcher of the hub watches the epoll.

Three designs were measured on one core of a shared machine, with a server on the other core. The client only read and
split frames. CPU per delivery, lowest to highest of several runs; epoll and watchers differ by less than the noise:

| | 200 connections, 50 000/s | 2 000 connections, 19 000/s | per connection |
|---|---|---|---|
| a reader greenlet per connection | 8.4-11.0 us | 14.4-24.3 us | 8 KB more |
| a watcher of the hub per connection | 7.1-8.1 us | 10.6-14.0 us | |
| one watcher, one nested epoll (this one) | 6.4-8.2 us | 9.4-12.8 us | |

The epoll is edge-triggered: level-triggered, the kernel polls each socket twice, a tenth of the cost of a read. Parsing
a lone frame inline, without the splitter, saves another fifth (`Connection.on_readable`). Fewer wake-ups of the
scheduler (30 to 50 us each on a virtual machine) save more than less work in each of them. These changes had no
benefit: smaller reads, `recv` or `recv_into` in place of `os.read`, and a timer of 2 or 3 ms, which delays sends and
saves a tenth of the cost of a message.

A whole run against the bundled server, with sending and statistics (`benchmarks.costs.engine`, idle machine), takes
22.4 us a delivery at 19 000/s over 2 000 users, 14.1 us at 49 500/s and 5.0 us at 197 000/s over 200 users. A busy
machine takes less at low rates, 15 to 19 us in place of 22.4, since each wake-up finds more to read. Opening a
connection costs 0.4 ms. A user takes 17 KB with Locust's greenlet: 10 000 users take 217 MiB.
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
_ROUNDS: Final = 16  # before timers and greenlets run
_EDGES: Final = EPOLLET | EPOLLRDHUP
_ENDED: Final = EPOLLRDHUP | EPOLLHUP | EPOLLERR


class Watched(Protocol):
    """A watched connection. The hub calls these methods, so they must neither block nor switch greenlets."""

    def on_readable(self) -> bool:
        """Read once; return whether there may be more. Call `Reactor.change` if bytes are left unread."""

    def on_writable(self) -> None:
        """Go on with opening or writing."""

    def abort(self) -> None:
        """Close the socket without a close handshake."""


class Reactor:
    """The sockets of one process.

    Args:
        rng: source of masking keys.
        on_fault: called with an exception of a connection, which is then aborted. The others continue.
    """

    def __init__(self, rng: Random, on_fault: Callable[[Exception], None]) -> None:
        self.rng = rng
        self._on_fault = on_fault
        self._connections: dict[int, Watched] = {}
        # gevent's monkey patching removes epoll from `select`, since blocking in it would block everything.
        self._epoll = get_original("select", "epoll")()
        self._watcher = get_hub().loop.io(self._epoll.fileno(), 1)
        self._watcher.start(self.serve_ready)

    def __len__(self) -> int:
        """Return the number of sockets, including those that are still connecting."""
        return len(self._connections)

    def close(self) -> None:
        """Abort all connections and stop watching."""
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
        """Watch a socket for other events. Events that already hold are reported again."""
        if fd in self._connections:
            self._epoll.modify(fd, events | _EDGES)

    def remove(self, fd: int) -> None:
        """Stop watching a socket, if it is watched. Call this before closing the socket."""
        if self._connections.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def serve_ready(self) -> None:
        """Serve the sockets that are ready, without waiting. The hub calls it; long work calls it in between."""
        poll = self._epoll.poll
        find = self._connections.get
        for _ in range(_ROUNDS):
            ready = poll(0, _EVENTS)
            if not ready:
                return
            for fd, events in ready:
                connection = find(fd)
                if connection is None:  # closed by another connection's callback
                    continue
                try:
                    if events == EPOLLIN:
                        connection.on_readable()
                    else:
                        self._serve(fd, connection, events)
                except Exception as error:  # noqa: BLE001 # an error of one connection must not stop the others
                    connection.abort()
                    self._on_fault(error)

    def _serve(self, fd: int, connection: Watched, events: int) -> None:
        """Handle all other events. The end of a stream is reported only once, so read until then."""
        if events & EPOLLOUT:
            connection.on_writable()
        while events & ~EPOLLOUT and self._connections.get(fd) is connection and connection.on_readable():
            if not events & _ENDED:
                break
